#pragma once

#include <cstdint>
#include <cstring>

// Vectors of the width that the target's registers have, through the compiler's vector extension: the same source
// serves AVX-512, AVX2 and 128-bit machines.
namespace caravan::host {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kLanes = 8;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kLanes = 4;
inline constexpr int kVectorRegisters = 16;
#endif

using Vec = float __attribute__((vector_size(kLanes * sizeof(float)), may_alias));
using IntVec = std::int32_t __attribute__((vector_size(kLanes * sizeof(float)), may_alias));

#define CARAVAN_INLINE inline __attribute__((always_inline))

CARAVAN_INLINE Vec load(const float* from) {
  Vec value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
CARAVAN_INLINE IntVec load(const std::int32_t* from) {
  IntVec value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
CARAVAN_INLINE void store(float* to, Vec value) { std::memcpy(to, &value, sizeof value); }

/// x − 0 keeps the sign of zero, so the compiler can drop it and is left with a broadcast.
CARAVAN_INLINE Vec broadcast(float x) { return x - Vec{}; }
CARAVAN_INLINE IntVec broadcast(std::int32_t x) { return x - IntVec{}; }

/// The larger of each pair; where `a` is not a number, that.
CARAVAN_INLINE Vec at_least(Vec a, float floor) { return a < broadcast(floor) ? broadcast(floor) : a; }
CARAVAN_INLINE Vec at_most(Vec a, float ceiling) { return a > broadcast(ceiling) ? broadcast(ceiling) : a; }
CARAVAN_INLINE Vec larger(Vec a, Vec b) { return a > b ? a : b; }

/// 2^x for x in [-126, 127], below that 2^-126; relative error 1.2e-7. Not a number stays not a number.
/// Minimax polynomial of degree 5 on [-1/2, 1/2] with p(0) = 1; adding 1.5·2^23 rounds to an integer and leaves it in
/// the low bits, from where it is shifted into the exponent.
CARAVAN_INLINE Vec exp2_bounded(Vec x) {
  x = at_least(x, -126.0f);
  const Vec shifted = x + broadcast(12582912.0f);
  const Vec f = x - (shifted - broadcast(12582912.0f));
  Vec p = broadcast(0.0013264738792151294f);
  p = p * f + broadcast(0.00967151668812067f);
  p = p * f + broadcast(0.05550733752779809f);
  p = p * f + broadcast(0.24022242023799095f);
  p = p * f + broadcast(0.6931469775688899f);
  p = p * f + broadcast(1.0f);
  return reinterpret_cast<Vec>(reinterpret_cast<IntVec>(p) + (reinterpret_cast<IntVec>(shifted) << 23));
}

/// e^x for x up to 88, beyond that e^88.
CARAVAN_INLINE Vec exp_bounded(Vec x) { return exp2_bounded(at_most(x, 88.0f) * broadcast(1.44269504088896340736f)); }

/// Lane i of the result is lane i ^ kBit of the argument.
template <int kBit>
CARAVAN_INLINE Vec swap_lanes(Vec x) {
  IntVec order;
  for (int lane = 0; lane < kLanes; ++lane) order[lane] = lane ^ kBit;
  return __builtin_shuffle(x, order);
}
CARAVAN_INLINE Vec swap_pairs(Vec x) { return swap_lanes<1>(x); }

CARAVAN_INLINE float sum_of(Vec x) {
  if constexpr (kLanes > 8) x += swap_lanes<8>(x);
  if constexpr (kLanes > 4) x += swap_lanes<4>(x);
  x += swap_lanes<2>(x);
  x += swap_lanes<1>(x);
  return x[0];
}
CARAVAN_INLINE float largest_of(Vec x) {
  float best = x[0];
  for (int lane = 1; lane < kLanes; ++lane) best = x[lane] > best ? x[lane] : best;
  return best;
}

}  // namespace caravan::host
