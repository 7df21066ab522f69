#pragma once

#include <chrono>

namespace caravan::io {

/// Seconds since 1970 in UTC.
inline double wall_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace caravan::io
