#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <map>

#include "tests/inspect/inspect_test.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// What a user sees who runs the executable on a terminal of 100 columns.
struct Screen {
  std::string text;
  int code = -1;
};

[[noreturn]] void exec_caravan(std::vector<std::string> words,
                               const std::map<std::string, std::string>& variables) {
  for (const char* name : {"NO_COLOR", "PAGER", "LESS"}) ::unsetenv(name);
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  words.insert(words.begin(), {std::getenv("CARAVAN_BINARY"), "inspect"});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

Screen on_terminal(const std::vector<std::string>& words, unsigned short rows,
                   const std::map<std::string, std::string>& variables) {
  const winsize size{rows, 100, 0, 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) exec_caravan(words, variables);
  Screen screen;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; (got = ::read(terminal, buffer.data(), buffer.size())) > 0;)
    screen.text.append(buffer.data(), static_cast<std::size_t>(got));
  int status = 0;
  ::waitpid(child, &status, 0);
  ::close(terminal);
  screen.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return screen;
}

class Terminal : public InspectTest {
 protected:
  void SetUp() override {
    InspectTest::SetUp();
    path_ = SmallCheckpoint(folder_.path(), 1).add("/model/norm.weight", {1, 2}, {2}).commit();
  }
  /// A pager that leaves its words and its input in files.
  std::string recording_pager() const {
    const std::string path = file("pager");
    spill(path, "#!/bin/sh\nprintf '%s\\n' \"$@\" > " + file("words") + "\ncat > " + file("input") + "\n");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::string path_;
};

TEST_F(Terminal, IsPaintedUnlessNoColorIsSet) {
  const Screen painted = on_terminal({path_}, 100, {});
  EXPECT_EQ(painted.code, 0);
  EXPECT_THAT(painted.text, HasSubstr("\033["));
  EXPECT_THAT(on_terminal({path_}, 100, {{"NO_COLOR", "1"}}).text, Not(HasSubstr("\033[")));
  EXPECT_THAT(on_terminal({path_, "--json"}, 100, {}).text, Not(HasSubstr("\033[")));
}

TEST_F(Terminal, LongTextGoesToThePagerWithoutAShell) {
  const std::string pager = recording_pager();
  const Screen screen = on_terminal({path_}, 4, {{"PAGER", pager + " -a $(touch " + file("owned") + ") ;"}});
  EXPECT_EQ(screen.code, 0);
  EXPECT_EQ(screen.text, "");
  EXPECT_EQ(slurp(file("words")), "-a\n$(touch\n" + file("owned") + ")\n;\n");
  EXPECT_THAT(slurp(file("input")), HasSubstr("norm.weight"));
  EXPECT_FALSE(std::filesystem::exists(file("owned")));
}

TEST_F(Terminal, ShortTextAndJsonNeedNoPager) {
  const std::string pager = recording_pager();
  EXPECT_THAT(on_terminal({path_}, 100, {{"PAGER", pager}}).text, HasSubstr("norm.weight"));
  EXPECT_THAT(on_terminal({path_, "--json"}, 4, {{"PAGER", pager}}).text, HasSubstr("norm.weight"));
  EXPECT_FALSE(std::filesystem::exists(file("words")));
}

TEST_F(Terminal, APagerThatIsMissingOrLeavesHurtsNobody) {
  EXPECT_THAT(on_terminal({path_}, 4, {{"PAGER", "/no/such/pager"}}).text, HasSubstr("norm.weight"));
  EXPECT_THAT(on_terminal({path_}, 4, {{"PAGER", ""}}).text, HasSubstr("norm.weight"));
  EXPECT_EQ(on_terminal({path_}, 4, {{"PAGER", "true"}}).code, 0);
}

}  // namespace
}  // namespace caravan::test
