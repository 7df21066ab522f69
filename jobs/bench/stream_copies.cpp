#include "jobs/bench/stream_copies.hpp"

#include <algorithm>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace caravan::jobs {
namespace {

inline __attribute__((always_inline)) void add(float* __restrict to, const float* __restrict from,
                                               std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] += from[i];
}

CARAVAN_FOR_AVX512 void add_avx512(float* to, const float* from, std::size_t count) {
  add(to, from, count);
}

CARAVAN_FOR_AVX2 void add_avx2(float* to, const float* from, std::size_t count) {
  add(to, from, count);
}

#if defined(__x86_64__)
CARAVAN_FOR_AVX512 void copy_avx512(float* to, const float* from, std::size_t count) {
  for (std::size_t i = 0; i + 16 <= count; i += 16) _mm512_stream_ps(to + i, _mm512_load_ps(from + i));
}

CARAVAN_FOR_AVX2 void copy_avx2(float* to, const float* from, std::size_t count) {
  for (std::size_t i = 0; i + 8 <= count; i += 8) _mm256_stream_ps(to + i, _mm256_load_ps(from + i));
}
#endif

}  // namespace

void copy_past_caches(VectorLevel level, float* to, const float* from, std::size_t count) {
#if defined(__x86_64__)
  if (level == VectorLevel::avx512) return copy_avx512(to, from, count);
  if (level == VectorLevel::avx2) return copy_avx2(to, from, count);
#endif
  std::copy_n(from, count, to);
}

void add_stream(VectorLevel level, float* to, const float* from, std::size_t count) {
  if (level == VectorLevel::avx512) return add_avx512(to, from, count);
  if (level == VectorLevel::avx2) return add_avx2(to, from, count);
  add(to, from, count);
}

}  // namespace caravan::jobs
