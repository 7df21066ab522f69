#include "jobs/bench/peak.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ranges>
#include <thread>
#include <vector>

#include "jobs/bench/device_limits.hpp"
#include "jobs/bench/fma_chains.hpp"
#include "jobs/bench/ops_timing.hpp"
#include "jobs/bench/stream_copies.hpp"

namespace caravan::jobs {
std::size_t threads_of_rank() {
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  return static_cast<std::size_t>(std::clamp(wanted ? std::strtol(wanted, nullptr, 10) : 1L, 1L, 4096L));
}

FmaPeak measure_fma_peak() {
  const VectorLevel level = vector_level();
  std::vector<FmaPeak> parts(threads_of_rank());
  {
    std::vector<std::jthread> threads;
    for (FmaPeak& part : parts | std::views::drop(1))
      threads.emplace_back([&part, level] { part = fma_peak_of_thread(level); });
    parts.front() = fma_peak_of_thread(level);
  }
  FmaPeak peak = parts.front();
  for (const FmaPeak& part : parts | std::views::drop(1)) peak.flops_per_s += part.flops_per_s;
  if (parts.size() > 1) peak.how += fmt::format(", {} threads a rank", parts.size());
  return peak;
}

namespace {

/// Two blocks of device memory, zeros.
class Blocks {
 public:
  Blocks(Device& device, std::size_t bytes) : device_(device) {
    for (void*& block : blocks_) {
      block = device.allocate(bytes, "bandwidth measurement");
      device.fill_zero(Lane::compute, block, bytes);
    }
  }
  ~Blocks() {
    for (void* block : blocks_) device_.release(block);
  }
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  float* from() const { return static_cast<float*>(blocks_[0]); }
  float* to() const { return static_cast<float*>(blocks_[1]); }

 private:
  Device& device_;
  void* blocks_[2];
};

}  // namespace

double measure_stream_bandwidth(Device& device, std::int64_t bytes) {
  if (device.memory() != Memory::host) return measure_copy_bandwidth(device, bytes);
  const auto half = static_cast<std::size_t>(std::max<std::int64_t>(bytes / 2, 128)) / 64 * 64;
  const auto total = 2.0 * static_cast<double>(half);
  const VectorLevel level = vector_level();
  const Blocks blocks(device, half);
  const double copied =
      total / median_seconds(device, [&] { device.copy(Lane::compute, blocks.to(), blocks.from(), half); });
  const std::size_t count = half / sizeof(float);
  const double past =
      total / median_seconds(device, [&] { copy_past_caches(level, blocks.to(), blocks.from(), count); });
  // Three streams over blocks of the same size: two reads and a write.
  const std::size_t third = count * 2 / 3;
  const double added = 12.0 * static_cast<double>(third) /
                       median_seconds(device, [&] { add_stream(level, blocks.to(), blocks.from(), third); });
  return std::max({copied, past, added});
}

FmaPeak measure_peak_of_all(Communicator& world) {
  world.barrier();
  FmaPeak peak = measure_fma_peak();
  world.all_reduce(TensorView(&peak.flops_per_s, DType::f64, {1}), ReduceOp::sum);
  return peak;
}

}  // namespace caravan::jobs
