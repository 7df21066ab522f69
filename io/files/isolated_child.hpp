#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "io/files/sandbox.hpp"

namespace caravan::io {

/// A sandboxed child process that answers questions about something untrusted with a library that may crash
/// or hang on it. Make it in a process with one thread. The destructor ends it.
class IsolatedChild {
 public:
  /// Runs in the child; what it throws is thrown by `ask`.
  using Answer = std::function<std::string(std::string_view question)>;

  /// `path`: what messages call the untrusted thing.
  IsolatedChild(std::string path, const Answer& answer, const IsolationLimits& limits = {});
  ~IsolatedChild();
  IsolatedChild(IsolatedChild&& other) noexcept;
  IsolatedChild& operator=(IsolatedChild&&) = delete;

  static constexpr std::uint64_t kMostMessageBytes = std::uint64_t{64} << 10;
  static constexpr std::uint64_t kMostAnswerBytes = std::uint64_t{512} << 20;
  /// IoError: the answer's own message when it throws; "file rejected: … <path>" when the child dies, exceeds
  /// a limit, or answers with more than `most` bytes (a message: 64 KiB more). Every answer has the processor
  /// time of the limits for itself.
  std::string ask(std::string_view question, std::uint64_t most = kMostAnswerBytes) const;

 private:
  void grant_time() const;
  void send(std::string_view bytes) const;
  void receive(char* to, std::size_t bytes) const;
  [[noreturn]] void reject(const std::string& why) const;
  [[noreturn]] void reject_dead() const;

  std::string path_;
  unsigned wait_s_;
  std::uint64_t cpu_s_;
  int channel_ = -1;
  pid_t child_ = -1;
};

}  // namespace caravan::io
