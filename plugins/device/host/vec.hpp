#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX__)
#include <immintrin.h>
#endif

// Vectors of the width that the target's registers have, through the compiler's vector extension: the same
// source serves AVX-512, AVX2 and 128-bit machines.
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
CARAVAN_INLINE void store(float* to, Vec value) {
  std::memcpy(to, &value, sizeof value);
}

/// x − 0 keeps the sign of zero, so the compiler can drop it and is left with a broadcast.
CARAVAN_INLINE Vec broadcast(float x) {
  return x - Vec{};
}
CARAVAN_INLINE IntVec broadcast(std::int32_t x) {
  return x - IntVec{};
}

/// The larger of each pair; where `b` is not a number, that. The instruction does it in one step, but the
/// compiler only takes it for a comparison and a choice when it need not care about numbers that are none.
CARAVAN_INLINE Vec larger(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_max_ps(a, b);
#elif defined(__AVX__)
  return _mm256_max_ps(a, b);
#else
  return a > b ? a : b;
#endif
}
CARAVAN_INLINE Vec smaller(Vec a, Vec b) {
#if defined(__AVX512F__)
  return _mm512_min_ps(a, b);
#elif defined(__AVX__)
  return _mm256_min_ps(a, b);
#else
  return a < b ? a : b;
#endif
}
/// Both keep what is not a number.
CARAVAN_INLINE Vec at_least(Vec x, float floor) {
  return larger(broadcast(floor), x);
}
CARAVAN_INLINE Vec at_most(Vec x, float ceiling) {
  return smaller(broadcast(ceiling), x);
}

/// 2^f for f in [-1/2, 1/2] with relative error 1e-7: minimax polynomial of degree 5 with p(0) = 1.
CARAVAN_INLINE Vec exp2_fraction(Vec f) {
  Vec p = broadcast(0.0013264738792151294f);
  p = p * f + broadcast(0.00967151668812067f);
  p = p * f + broadcast(0.05550733752779809f);
  p = p * f + broadcast(0.24022242023799095f);
  p = p * f + broadcast(0.6931469775688899f);
  return p * f + broadcast(1.0f);
}

/// 2^x for finite x; what leaves the normal range becomes 0 or 2^-126, and ∞ or 2^127. Not a number stays
/// that.
CARAVAN_INLINE Vec exp2_finite(Vec x) {
#if defined(__AVX512F__)
  const Vec n = _mm512_roundscale_ps(x, 0);
  return _mm512_scalef_ps(exp2_fraction(x - n), n);
#else
  // Adding 1.5·2^23 rounds to an integer and leaves it in the low bits, from where it is shifted into the
  // exponent.
  x = at_most(at_least(x, -126.0f), 127.0f);
  const Vec shifted = x + broadcast(12582912.0f);
  const Vec p = exp2_fraction(x - (shifted - broadcast(12582912.0f)));
  return reinterpret_cast<Vec>(reinterpret_cast<IntVec>(p) + (reinterpret_cast<IntVec>(shifted) << 23));
#endif
}

/// The same for x that may be −∞, which gives 2^-126.
CARAVAN_INLINE Vec exp2_bounded(Vec x) {
  return exp2_finite(at_least(x, -126.0f));
}

/// 1/x for x in [2^-100, 2^100]; relative error 1e-7. A division takes the pipe longer than all the rest of a
/// sigmoid.
CARAVAN_INLINE Vec reciprocal(Vec x) {
#if defined(__AVX512F__)
  const Vec guess = _mm512_rcp14_ps(x);
  return guess + guess * (broadcast(1.0f) - x * guess);
#else
  return broadcast(1.0f) / x;
#endif
}

/// 1/(1 + e^-x); below −69 it stays at 2^-100.
CARAVAN_INLINE Vec sigmoid(Vec x) {
  return reciprocal(broadcast(1.0f) + exp2_finite(at_most(x * broadcast(-1.44269504088896340736f), 100.0f)));
}

/// Lane i of the result is lane i ^ kBit of the argument.
template <int kBit>
CARAVAN_INLINE Vec swap_lanes(Vec x) {
  IntVec order;
  for (int lane = 0; lane < kLanes; ++lane) order[lane] = lane ^ kBit;
  return __builtin_shuffle(x, order);
}
CARAVAN_INLINE Vec swap_pairs(Vec x) {
  return swap_lanes<1>(x);
}

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
