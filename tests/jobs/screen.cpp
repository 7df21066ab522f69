#include "tests/jobs/screen.hpp"

#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace caravan::test {
namespace {

[[noreturn]] void exec_caravan(std::vector<std::string>& words,
                               const std::map<std::string, std::string>& variables) {
  for (const char* name : {"NO_COLOR", "PAGER", "LESS"}) ::unsetenv(name);
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

}  // namespace

Screen on_terminal(std::vector<std::string> arguments, unsigned short rows,
                   const std::map<std::string, std::string>& variables) {
  arguments.insert(arguments.begin(), std::getenv("CARAVAN_BINARY"));
  const winsize size{rows, 100, 0, 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  if (child == 0) exec_caravan(arguments, variables);
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

}  // namespace caravan::test
