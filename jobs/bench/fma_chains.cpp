#include "jobs/bench/fma_chains.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

template <int Bytes>
struct VectorOf {
  typedef float type __attribute__((vector_size(Bytes)));
};

#define CARAVAN_INTO_CALLER inline __attribute__((always_inline))

/// Keeps `value` in a register and its value unknown, so that no round of the loop can be left out.
template <class Vec>
CARAVAN_INTO_CALLER void forget(Vec& value) {
#if defined(__x86_64__)
  asm volatile("" : "+v"(value));
#else
  asm volatile("" : "+w"(value));
#endif
}

/// FLOP a second of `Chains` independent chains of multiply-adds on vectors of `Bytes` bytes. Compiled for
/// what its caller is compiled for.
template <int Bytes, int Chains>
CARAVAN_INTO_CALLER double time_chains() {
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

void consider(FmaPeak& peak, int bytes, int chains, double flops) {
  if (flops <= peak.flops_per_s) return;
  peak = {flops, fmt::format(
                     "{} independent chains of {}-bit fp32 multiply-adds on registers, fastest of 40 repeats",
                     chains, bytes * 8)};
}

CARAVAN_FOR_AVX512 void consider_avx512(FmaPeak& peak) {
  consider(peak, 64, 8, time_chains<64, 8>());
  consider(peak, 64, 12, time_chains<64, 12>());
  consider(peak, 64, 24, time_chains<64, 24>());
}

CARAVAN_FOR_AVX2 void consider_avx2(FmaPeak& peak) {
  consider(peak, 32, 8, time_chains<32, 8>());
  consider(peak, 32, 12, time_chains<32, 12>());
}

}  // namespace

FmaPeak fma_peak_of_thread(VectorLevel level) {
  FmaPeak peak;
  if (level >= VectorLevel::avx512) consider_avx512(peak);
  if (level >= VectorLevel::avx2) consider_avx2(peak);
  consider(peak, 16, 8, time_chains<16, 8>());
  consider(peak, 16, 12, time_chains<16, 12>());
  return peak;
}

}  // namespace caravan::jobs
