#pragma once

#include <cstdint>
#include <string>

#include "caravan/device.hpp"

namespace caravan::jobs {

/// What this core can do at most, measured now.
struct FmaPeak {
  double flops_per_s = 0;
  std::string how;  ///< "12 independent chains of 512-bit fp32 multiply-adds, best of 5 × 20 ms"
};

/// fp32 multiply-adds on registers alone: the best of several numbers of independent chains and vector widths, for the
/// instruction set that the host device is built for (CARAVAN_HOST_ARCH). One thread.
FmaPeak measure_fma_peak();

/// Bytes read plus bytes written a second by a copy on `device` that moves `bytes` in all; median of repeats. The
/// ceiling of an operator that only moves data, at the size at which it runs: what fits a cache is copied faster.
double measure_copy_bandwidth(Device& device, std::int64_t bytes);

}  // namespace caravan::jobs
