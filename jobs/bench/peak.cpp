#include "jobs/bench/peak.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ranges>
#include <thread>
#include <vector>

#include "jobs/bench/device_limits.hpp"
#include "jobs/bench/ops_timing.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

template <int Bytes>
struct VectorOf {
  typedef float type __attribute__((vector_size(Bytes)));
};

/// Keeps `value` in a register and its value unknown, so that no round of the loop can be left out.
template <class Vec>
inline __attribute__((always_inline)) void forget(Vec& value) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(value));
#else
  asm volatile("" : "+w"(value));
#endif
}

/// FLOP a second of `Chains` independent chains of multiply-adds on vectors of `Bytes` bytes.
template <int Bytes, int Chains>
double time_chains() {
  using Vec = typename VectorOf<Bytes>::type;
  constexpr std::int64_t kRounds = 200'000;
  Vec sums[Chains];
  for (int i = 0; i < Chains; ++i) sums[i] = Vec{} + static_cast<float>(i);
  Vec factor = Vec{} + 0.999f, term = Vec{} + 0.001f;
  double best = 0;
  for (int repeat = 0; repeat < 40; ++repeat) {
    const auto start = Clock::now();
    for (std::int64_t round = 0; round < kRounds; ++round) {
      forget(factor);
#pragma GCC unroll 32
      for (int i = 0; i < Chains; ++i) sums[i] = sums[i] * factor + term;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    asm volatile("" : : "m"(sums));
    best = std::max(best, 2.0 * (Bytes / 4) * Chains * kRounds / seconds);
  }
  return best;
}

template <int Bytes, int Chains>
void consider(FmaPeak& peak) {
  const double flops = time_chains<Bytes, Chains>();
  if (flops <= peak.flops_per_s) return;
  peak = {flops, fmt::format(
                     "{} independent chains of {}-bit fp32 multiply-adds on registers, fastest of 40 repeats",
                     Chains, Bytes * 8)};
}

FmaPeak peak_of_thread() {
  FmaPeak peak;
#if defined(__AVX512F__)
  consider<64, 8>(peak);
  consider<64, 12>(peak);
  consider<64, 24>(peak);
#endif
#if defined(__AVX__)
  consider<32, 8>(peak);
  consider<32, 12>(peak);
#endif
  consider<16, 8>(peak);
  consider<16, 12>(peak);
  return peak;
}

/// As the device `host` takes them where its keys do not say.
std::size_t threads_of_rank() {
  const char* wanted = std::getenv("OMP_NUM_THREADS");
  return static_cast<std::size_t>(std::clamp(wanted ? std::strtol(wanted, nullptr, 10) : 1L, 1L, 4096L));
}

}  // namespace

FmaPeak measure_fma_peak() {
  std::vector<FmaPeak> parts(threads_of_rank());
  {
    std::vector<std::jthread> threads;
    for (FmaPeak& part : parts | std::views::drop(1))
      threads.emplace_back([&part] { part = peak_of_thread(); });
    parts.front() = peak_of_thread();
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

void copy_past_caches(float* to, const float* from, std::size_t count) {
#if defined(__AVX512F__)
  using Vec = VectorOf<64>::type;
  for (std::size_t i = 0; i + 16 <= count; i += 16) {
    __builtin_ia32_movntps512(to + i, *reinterpret_cast<const Vec*>(from + i));
  }
#elif defined(__AVX__)
  using Vec = VectorOf<32>::type;
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    __builtin_ia32_movntps256(to + i, *reinterpret_cast<const Vec*>(from + i));
  }
#else
  std::copy_n(from, count, to);
#endif
}

void add_stream(float* __restrict to, const float* __restrict from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] += from[i];
}

}  // namespace

double measure_stream_bandwidth(Device& device, std::int64_t bytes) {
  if (device.memory() != Memory::host) return measure_copy_bandwidth(device, bytes);
  const auto half = static_cast<std::size_t>(std::max<std::int64_t>(bytes / 2, 128)) / 64 * 64;
  const auto total = 2.0 * static_cast<double>(half);
  const Blocks blocks(device, half);
  const double copied =
      total / median_seconds(device, [&] { device.copy(Lane::compute, blocks.to(), blocks.from(), half); });
  const std::size_t count = half / sizeof(float);
  const double past =
      total / median_seconds(device, [&] { copy_past_caches(blocks.to(), blocks.from(), count); });
  // Three streams over blocks of the same size: two reads and a write.
  const std::size_t third = count * 2 / 3;
  const double added = 12.0 * static_cast<double>(third) /
                       median_seconds(device, [&] { add_stream(blocks.to(), blocks.from(), third); });
  return std::max({copied, past, added});
}

FmaPeak measure_peak_of_all(Communicator& world) {
  world.barrier();
  FmaPeak peak = measure_fma_peak();
  world.all_reduce(TensorView(&peak.flops_per_s, DType::f64, {1}), ReduceOp::sum);
  return peak;
}

}  // namespace caravan::jobs
