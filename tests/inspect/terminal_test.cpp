#include "tests/inspect/inspect_test.hpp"
#include "tests/jobs/screen.hpp"

namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

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
  const Screen painted = on_terminal({"inspect", path_}, 100, {});
  EXPECT_EQ(painted.code, 0);
  EXPECT_THAT(painted.text, HasSubstr("\033["));
  EXPECT_THAT(on_terminal({"inspect", path_}, 100, {{"NO_COLOR", "1"}}).text, Not(HasSubstr("\033[")));
  EXPECT_THAT(on_terminal({"inspect", path_, "--json"}, 100, {}).text, Not(HasSubstr("\033[")));
}

TEST_F(Terminal, LongTextGoesToThePagerWithoutAShell) {
  const std::string pager = recording_pager();
  const Screen screen =
      on_terminal({"inspect", path_}, 4, {{"PAGER", pager + " -a $(touch " + file("owned") + ") ;"}});
  EXPECT_EQ(screen.code, 0);
  EXPECT_EQ(screen.text, "");
  EXPECT_EQ(slurp(file("words")), "-a\n$(touch\n" + file("owned") + ")\n;\n");
  EXPECT_THAT(slurp(file("input")), HasSubstr("norm.weight"));
  EXPECT_FALSE(std::filesystem::exists(file("owned")));
}

TEST_F(Terminal, ShortTextAndJsonNeedNoPager) {
  const std::string pager = recording_pager();
  EXPECT_THAT(on_terminal({"inspect", path_}, 100, {{"PAGER", pager}}).text, HasSubstr("norm.weight"));
  EXPECT_THAT(on_terminal({"inspect", path_, "--json"}, 4, {{"PAGER", pager}}).text,
              HasSubstr("norm.weight"));
  EXPECT_FALSE(std::filesystem::exists(file("words")));
}

TEST_F(Terminal, AJobIsPrintableOnATerminalAndItselfElsewhere) {
  const std::string job = "name: \"x\"  # \033]0;owned\a \033[31m\n";
  const std::string path = SmallCheckpoint(file("other"), 1, job).commit();
  EXPECT_THAT(on_terminal({"inspect", path, "--job"}, 100).text,
              HasSubstr("# \\u001b]0;owned\\u0007 \\u001b[31m"));
  EXPECT_EQ(inspect({path, "--job"}).out, job);
}

TEST_F(Terminal, APagerThatIsMissingOrLeavesHurtsNobody) {
  EXPECT_THAT(on_terminal({"inspect", path_}, 4, {{"PAGER", "/no/such/pager"}}).text,
              HasSubstr("norm.weight"));
  EXPECT_THAT(on_terminal({"inspect", path_}, 4, {{"PAGER", ""}}).text, HasSubstr("norm.weight"));
  EXPECT_EQ(on_terminal({"inspect", path_}, 4, {{"PAGER", "true"}}).code, 0);
}

}  // namespace
}  // namespace caravan::test
