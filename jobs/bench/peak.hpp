#pragma once

#include <cstdint>
#include <string>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"

namespace caravan::jobs {

/// What the cores of this rank can do at most, measured now.
struct FmaPeak {
  double flops_per_s = 0;
  std::string how;  ///< "12 independent chains of 512-bit fp32 multiply-adds, best of 5 × 20 ms"
};

/// Threads of a rank as the device `host` takes them where its keys do not say: OMP_NUM_THREADS, or one.
std::size_t threads_of_rank();

/// fp32 multiply-adds on registers alone: the best of several numbers of independent chains and vector
/// widths, up to the vectors that the host device uses (`vector_level`). On as many threads
/// at once as a device without keys gives a rank: OMP_NUM_THREADS, or one.
FmaPeak measure_fma_peak();

/// Bytes read plus bytes written a second when work on `device` moves `bytes` in all: the ceiling of an
/// operator that only moves data, at the size at which it runs, because what fits a cache moves faster. The
/// fastest of a copy by the device and, in host memory, a copy that writes past the caches and y += x;
/// medians of repeats.
double measure_stream_bandwidth(Device& device, std::int64_t bytes);

/// [collective] All ranks measure at the same time, as they compute at the same time; [FLOP/s] of all
/// together.
FmaPeak measure_peak_of_all(Communicator& world);

}  // namespace caravan::jobs
