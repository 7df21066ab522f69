#pragma once

#include <vector>

#include "caravan/device.hpp"

// Records of kernels, copies and fills of this process, by CUPTI. CUPTI has one recording a process.
namespace caravan::cuda {

/// From here on. DeviceError when another tool records already.
void start_recording();
/// Ends it; what has finished until now, by start. Synchronize first.
std::vector<DeviceActivity> stop_recording();

}  // namespace caravan::cuda
