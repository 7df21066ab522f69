#pragma once

#include <chrono>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"

namespace caravan::jobs {

/// [collective] Seconds that `work` takes on the slowest rank, from a common start to the end of what it gave
/// to the device.
template <class Work>
double timed_together(Device& device, Communicator& world, Work&& work) {
  device.synchronize();
  world.barrier();
  const auto start = std::chrono::steady_clock::now();
  work();
  device.synchronize();
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  world.all_reduce(TensorView(&seconds, DType::f64, {1}), ReduceOp::max);
  return seconds;
}

}  // namespace caravan::jobs
