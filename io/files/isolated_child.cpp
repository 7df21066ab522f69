#include "io/files/isolated_child.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <utility>

#include "io/files/file.hpp"

namespace caravan::io {
namespace {

enum class Outcome : std::uint64_t { good, bad };

/// What stands before every question and answer.
struct Header {
  std::uint64_t bytes = 0;
  Outcome outcome = Outcome::good;
};

std::string_view bytes_of(const Header& header) {
  return {reinterpret_cast<const char*>(&header), sizeof(header)};
}

/// The child's side of the channel. It ends quietly when the parent has gone.
class Desk {
 public:
  explicit Desk(int channel) : channel_(channel) {}

  std::string next_question() const {
    Header header;
    take(reinterpret_cast<char*>(&header), sizeof(header));
    std::string question(header.bytes, '\0');
    take(question.data(), question.size());
    return question;
  }

  void reply(Outcome outcome, std::string_view text) const {
    put(bytes_of({text.size(), outcome}));
    put(text);
  }

 private:
  void take(char* to, std::size_t bytes) const {
    while (bytes > 0) {
      const auto got = ::read(channel_, to, bytes);
      if (got <= 0) ::_exit(0);
      to += got;
      bytes -= static_cast<std::size_t>(got);
    }
  }

  void put(std::string_view rest) const {
    while (!rest.empty()) {
      const auto written = ::write(channel_, rest.data(), rest.size());
      if (written <= 0) ::_exit(0);
      rest.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  int channel_;
};

/// Empty when the sandbox holds; otherwise why it does not.
std::string confine(int channel, const IsolationLimits& limits) {
  try {
    enter_sandbox(channel, limits);
    return "";
  } catch (const std::exception& problem) {
    return problem.what();
  }
}

[[noreturn]] void run_child(int channel, const IsolatedChild::Answer& answer, const IsolationLimits& limits) {
  const Desk desk(channel);
  const std::string refusal = confine(channel, limits);
  for (;;) {
    const std::string question = desk.next_question();
    if (!refusal.empty()) {
      desk.reply(Outcome::bad, refusal);
      continue;
    }
    try {
      desk.reply(Outcome::good, answer(question));
    } catch (const std::exception& problem) {
      desk.reply(Outcome::bad, problem.what());
    }
  }
}

}  // namespace

IsolatedChild::IsolatedChild(std::string path, const Answer& answer, const IsolationLimits& limits)
    : path_(std::move(path)), wait_s_(limits.wait_s), cpu_s_(limits.cpu_s) {
  std::array<int, 2> ends{};
  CARAVAN_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0, IoError,
                system_text("make a channel to read", path_));
  channel_ = ends[0];
  child_ = ::fork();
  if (child_ == 0) {
    ::close(ends[0]);
    run_child(ends[1], answer, limits);
  }
  ::close(ends[1]);
  if (child_ > 0) return;
  ::close(channel_);
  throw IoError(system_text("fork to read", path_));
}

IsolatedChild::IsolatedChild(IsolatedChild&& other) noexcept
    : path_(std::move(other.path_)),
      wait_s_(other.wait_s_),
      cpu_s_(other.cpu_s_),
      channel_(std::exchange(other.channel_, -1)),
      child_(std::exchange(other.child_, -1)) {}

IsolatedChild::~IsolatedChild() {
  if (child_ < 0) return;
  ::close(channel_);
  ::kill(child_, SIGKILL);
  while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::string IsolatedChild::ask(std::string_view question, std::uint64_t most) const {
  grant_time();
  send(bytes_of({question.size(), Outcome::good}));
  send(question);
  Header header;
  receive(reinterpret_cast<char*>(&header), sizeof(header));
  if (header.bytes > most + kMostMessageBytes) reject(fmt::format("gave {} bytes at once", header.bytes));
  std::string answer(header.bytes, '\0');
  receive(answer.data(), answer.size());
  CARAVAN_CHECK(header.outcome == Outcome::good, IoError, answer);
  return answer;
}

/// A child that is dead already is found when it does not answer.
void IsolatedChild::grant_time() const {
  clockid_t clock{};
  timespec used{};
  rlimit now{};
  if (::clock_getcpuclockid(child_, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return;
  if (::prlimit(child_, RLIMIT_CPU, nullptr, &now) != 0) return;
  const rlim_t wanted = static_cast<rlim_t>(used.tv_sec) + 1 + cpu_s_;
  now.rlim_cur = std::min(wanted, now.rlim_max);
  ::prlimit(child_, RLIMIT_CPU, &now, nullptr);
}

void IsolatedChild::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const auto sent = ::send(channel_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) reject_dead();
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void IsolatedChild::receive(char* to, std::size_t bytes) const {
  while (bytes > 0) {
    pollfd ready{channel_, POLLIN, 0};
    const int events = ::poll(&ready, 1, static_cast<int>(wait_s_) * 1000);
    if (events < 0 && errno == EINTR) continue;
    if (events == 0) reject(fmt::format("gave no answer for {} s", wait_s_));
    const auto got = ::read(channel_, to, bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) reject_dead();
    to += got;
    bytes -= static_cast<std::size_t>(got);
  }
}

void IsolatedChild::reject(const std::string& why) const {
  throw IoError(fmt::format("file rejected: the reader of {} {} (damaged or hostile)", path_, why));
}

void IsolatedChild::reject_dead() const {
  siginfo_t ending{};
  while (::waitid(P_PID, static_cast<id_t>(child_), &ending, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  if (ending.si_code == CLD_EXITED) reject(fmt::format("ended with code {}", ending.si_status));
  reject(fmt::format("was ended by '{}'", ::strsignal(ending.si_status)));
}

}  // namespace caravan::io
