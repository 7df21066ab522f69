#include "io/files/isolated.hpp"

#include "caravan/check.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "io/files/file.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostReportBytes = std::size_t{512} << 20;
constexpr char kGood = '+', kBad = '-';  // first byte of the report

class Pipe {
 public:
  Pipe() { CARAVAN_CHECK(::pipe2(ends_.data(), O_CLOEXEC) == 0, IoError, system_text("make", "a pipe")); }
  ~Pipe() {
    close(0);
    close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reading() const noexcept { return ends_[0]; }
  int writing() const noexcept { return ends_[1]; }
  void close(std::size_t end) noexcept {
    if (ends_[end] >= 0) ::close(std::exchange(ends_[end], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

void limit(__rlimit_resource_t resource, rlim_t value) {
  const rlimit both{value, value};
  ::setrlimit(resource, &both);
}

std::string report_of(const std::function<std::string()>& action) {
  try {
    return kGood + action();
  } catch (const std::exception& problem) {
    return kBad + std::string(problem.what());
  }
}

[[noreturn]] void run_child(const Pipe& pipe, const std::function<std::string()>& action,
                            const IsolationLimits& limits) {
  limit(RLIMIT_AS, limits.memory_bytes);
  limit(RLIMIT_CPU, limits.cpu_s);
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  ::alarm(limits.wait_s);
  const std::string report = report_of(action);
  for (std::string_view rest = report; !rest.empty();) {
    const auto put = ::write(pipe.writing(), rest.data(), rest.size());
    if (put <= 0) ::_exit(1);
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  ::_exit(0);
}

std::string read_all(const Pipe& pipe) {
  std::string text;
  std::array<char, 65536> buffer;
  while (text.size() <= kMostReportBytes) {
    const auto got = ::read(pipe.reading(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

void check_ending(pid_t child, const std::string& path) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  CARAVAN_CHECK(!WIFSIGNALED(status), IoError,
                fmt::format("file rejected: {} ended its reader with '{}' (damaged or hostile)", path,
                            ::strsignal(WTERMSIG(status))));
  CARAVAN_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, IoError,
                fmt::format("file rejected: the reader of {} failed (damaged or hostile)", path));
}

}  // namespace

std::string run_isolated(const std::string& path, const std::function<std::string()>& action,
                         const IsolationLimits& limits) {
  Pipe pipe;
  const pid_t child = ::fork();
  CARAVAN_CHECK(child >= 0, IoError, system_text("fork to read", path));
  if (child == 0) run_child(pipe, action, limits);
  pipe.close(1);
  std::string report = read_all(pipe);
  pipe.close(0);
  check_ending(child, path);
  CARAVAN_CHECK(!report.empty(), IoError,
                fmt::format("file rejected: the reader of {} gave no report", path));
  const bool good = report.front() == kGood;
  report.erase(0, 1);
  CARAVAN_CHECK(good, IoError, report);
  return report;
}

}  // namespace caravan::io
