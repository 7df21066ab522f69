#pragma once

#include <string>
#include <string_view>

namespace caravan {

/// Says, when this process dies meanwhile of a signal such as SIGSEGV or SIGABRT, or a call of exit(), which
/// plugin it was busy with; then the signal does what it would have done. Markers nest. [host thread]
class CrashMarker {
 public:
  /// `doing`: "creating schedule 'x' (plugin p 1.0.0, /path/caravan-p.so)"
  explicit CrashMarker(const std::string& doing);
  ~CrashMarker();
  CrashMarker(const CrashMarker&) = delete;
  CrashMarker& operator=(const CrashMarker&) = delete;

  /// Async-signal-safe where `visit` is: a line of this marker, then one of each around it.
  void for_each_line(void (*visit)(void* context, std::string_view line), void* context) const noexcept;

 private:
  std::string line_;
  const CrashMarker* around_;
};

}  // namespace caravan
