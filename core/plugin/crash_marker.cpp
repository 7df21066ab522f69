#include "core/plugin/crash_marker.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "caravan/printable.hpp"

namespace caravan {
namespace {

struct Fatal {
  int signal;
  std::string_view name;
};
constexpr std::array<Fatal, 7> kFatal = {{{SIGSEGV, "SIGSEGV"},
                                          {SIGBUS, "SIGBUS"},
                                          {SIGFPE, "SIGFPE"},
                                          {SIGILL, "SIGILL"},
                                          {SIGABRT, "SIGABRT"},
                                          {SIGTRAP, "SIGTRAP"},
                                          {SIGSYS, "SIGSYS"}}};

// A signal handler gets no argument of ours: what it says and what it restores must stand where it can find
// them.
std::atomic<const CrashMarker*> innermost = nullptr;
std::array<struct sigaction, kFatal.size()> before;

void write_all(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

/// Lines that go out at once, so that those of ranks which die together do not mix; what is longer is cut.
class Report {
 public:
  void add(std::string_view text) noexcept {
    const std::size_t taken = std::min(text.size(), text_.size() - size_);
    std::memcpy(text_.data() + size_, text.data(), taken);
    size_ += taken;
  }
  void write() const noexcept { write_all({text_.data(), size_}); }

 private:
  std::array<char, 4096> text_;  // as much as a pipe takes whole
  std::size_t size_ = 0;
};

void tell(const CrashMarker& marker, std::string_view cause) noexcept {
  Report report;
  report.add("caravan: ended by ");
  report.add(cause);
  report.add(" while\n");
  marker.for_each_line([](void* to, std::string_view line) { static_cast<Report*>(to)->add(line); }, &report);
  report.write();
}

/// The signal comes again when this returns, and finds what handled it before.
void on_signal(int signal) {
  const CrashMarker* const marker = innermost.exchange(nullptr);
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    if (kFatal[i].signal != signal) continue;
    if (marker) tell(*marker, kFatal[i].name);
    ::sigaction(signal, &before[i], nullptr);
  }
  ::raise(signal);
}

/// A plugin that ends the process takes the run with it, and must not make that a success.
void on_exit_call(int status, void*) {
  const CrashMarker* const marker = innermost.exchange(nullptr);
  if (!marker) return;
  tell(*marker, "a call of exit()");
  ::_exit(status == 0 ? EXIT_FAILURE : status);
}

/// A constructor that has used up the stack cannot be reported on it.
void provide_stack() {
  static std::array<char, std::size_t{64} << 10> memory;
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
  const stack_t wanted{memory.data(), 0, memory.size()};
  ::sigaltstack(&wanted, nullptr);
}

void watch() {
  static const bool watches_exit = ::on_exit(on_exit_call, nullptr) == 0;
  static_cast<void>(watches_exit);
  provide_stack();
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < kFatal.size(); ++i) ::sigaction(kFatal[i].signal, &action, &before[i]);
}

/// What a plugin has set for itself stays.
void stop_watching() {
  for (std::size_t i = 0; i < kFatal.size(); ++i) {
    struct sigaction now {};
    ::sigaction(kFatal[i].signal, nullptr, &now);
    if ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == on_signal)
      ::sigaction(kFatal[i].signal, &before[i], nullptr);
  }
}

}  // namespace

CrashMarker::CrashMarker(const std::string& doing)
    : line_("  " + printable(doing) + "\n"), around_(innermost) {
  if (!around_) watch();
  innermost = this;
}

CrashMarker::~CrashMarker() {
  innermost = around_;
  if (!around_) stop_watching();
}

void CrashMarker::for_each_line(void (*visit)(void* context, std::string_view line),
                                void* context) const noexcept {
  for (const CrashMarker* marker = this; marker; marker = marker->around_) visit(context, marker->line_);
}

}  // namespace caravan
