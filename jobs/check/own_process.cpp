#include "jobs/check/own_process.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <string_view>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

void write_fully(int file, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(file, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// What it says of itself when it dies goes to `report` too.
[[noreturn]] void run_apart(int report, const std::function<void()>& action) {
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::dup2(report, STDERR_FILENO);
  try {
    action();
    ::_exit(0);
  } catch (const std::exception& error) {
    write_fully(report, error.what());
  } catch (...) {
    write_fully(report, "an exception that is no std::exception");
  }
  ::_exit(1);
}

/// On one line.
std::string read_report(int from) {
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto size = ::read(from, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  std::string line;
  for (const char c : text) {
    const bool is_space = c == '\n' || c == ' ';
    if (!is_space) line += c;
    if (is_space && !line.empty() && line.back() != ' ') line += ' ';
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) return std::string("ended by ") + ::strsignal(WTERMSIG(status));
  return "ended with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

std::string problem_in_own_process(const std::function<void()>& action) {
  std::array<int, 2> ends{};
  CARAVAN_CHECK(::pipe(ends.data()) == 0, IoError,
                std::string("cannot make a pipe (") + std::strerror(errno) + ")");
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    run_apart(ends[1], action);
  }
  const int why = errno;
  ::close(ends[1]);
  const std::string said = child > 0 ? read_report(ends[0]) : "";
  ::close(ends[0]);
  CARAVAN_CHECK(child > 0, IoError, std::string("cannot start a process (") + std::strerror(why) + ")");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return "";
  return said.empty() ? ending(status) : said;
}

}  // namespace caravan::jobs
