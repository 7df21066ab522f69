#include "jobs/bench/peak.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

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
  peak = {flops, fmt::format("{} independent chains of {}-bit fp32 multiply-adds on registers, fastest of 40 repeats",
                             Chains, Bytes * 8)};
}

}  // namespace

FmaPeak measure_fma_peak() {
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

double measure_copy_bandwidth(Device& device, std::int64_t bytes) {
  const auto half = static_cast<std::size_t>(std::max<std::int64_t>(bytes / 2, 64));
  void* from = device.allocate(half, "bandwidth measurement");
  void* to = device.allocate(half, "bandwidth measurement");
  device.fill_zero(Lane::compute, from, half);
  const double seconds = median_seconds(device, [&] { device.copy(Lane::compute, to, from, half); });
  device.release(from);
  device.release(to);
  return 2.0 * static_cast<double>(half) / seconds;
}

}  // namespace caravan::jobs
