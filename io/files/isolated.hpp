#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace caravan::io {

/// What a child process may use; it writes no file at all.
struct IsolationLimits {
  std::uint64_t memory_bytes = std::uint64_t{4} << 30;
  std::uint64_t cpu_s = 20;
  unsigned wait_s = 60;
};

/// Runs `action`, which parses something untrusted with a library that may crash or hang on it, in a child
/// process and returns its text. IoError: the action's own message when it throws; "file rejected: … <path>"
/// when the child dies or exceeds a limit. Call it from a process with one thread.
std::string run_isolated(const std::string& path, const std::function<std::string()>& action,
                         const IsolationLimits& limits = {});

}  // namespace caravan::io
