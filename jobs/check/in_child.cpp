#include "jobs/check/in_child.hpp"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

/// Tells `pipe` what is thrown, and ends without destructors of what the parent goes on with.
[[noreturn]] void run_child(int pipe, const std::function<void()>& action) {
  std::string problem;
  try {
    action();
  } catch (const std::exception& error) {
    problem = error.what();
  } catch (...) {
    problem = "it throws what is no std::exception";
  }
  const ssize_t told = ::write(pipe, problem.data(), std::min<std::size_t>(problem.size(), 4000));
  ::_exit(told < 0 ? 1 : 0);
}

std::string read_all(int pipe) {
  std::string text;
  std::array<char, 4096> part{};
  for (;;) {
    const ssize_t got = ::read(pipe, part.data(), part.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

int status_of(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::string problem_in_child(const std::function<void()>& action) {
  std::array<int, 2> ends{};
  CARAVAN_CHECK(::pipe(ends.data()) == 0, IoError, fmt::format("no pipe ({})", std::strerror(errno)));
  const pid_t child = ::fork();
  if (child == 0) run_child(ends[1], action);
  ::close(ends[1]);
  std::string problem = child < 0 ? "" : read_all(ends[0]);
  ::close(ends[0]);
  CARAVAN_CHECK(child > 0, IoError, fmt::format("no child process ({})", std::strerror(errno)));
  const int status = status_of(child);
  if (WIFSIGNALED(status)) return fmt::format("it ends with {}", ::strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0 && problem.empty())
    return fmt::format("it ends with code {}", WEXITSTATUS(status));
  return problem;
}

}  // namespace caravan::jobs
