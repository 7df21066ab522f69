#pragma once

#include <cstdint>

#include "caravan/device.hpp"

namespace caravan::jobs {

/// Bytes a second that this machine reads of `bytes` bytes, over and over: in host memory with a thread on
/// each core that this process may use, and the fastest of repeats; on another device with its sum of
/// squares, and their median.
double measure_read_rate(Device& device, std::int64_t bytes);

}  // namespace caravan::jobs
