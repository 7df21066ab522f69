#pragma once

#include <string>

namespace caravan::test {

/// A sanitizer takes memory and time of its own.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kIsInstrumented = true;
#else
inline constexpr bool kIsInstrumented = false;
#endif

/// Bytes of a line "  <item>    123.45 MiB" of --dry-run's table of memory; NaN where it has none.
double planned_bytes(const std::string& text, const std::string& item);

/// The most memory that a running process has held, VmHWM; 0 where it is gone.
double peak_bytes(int process);

}  // namespace caravan::test
