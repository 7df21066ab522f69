#pragma once

#include "caravan/random.hpp"
#include "plugins/device/cuda/kernels/vec.cuh"

// The streams of caravan/random.hpp inside kernels: same key and element, same bits.
namespace caravan::cuda {

/// uniform(key, row, column + i) for i < N; `column` is a multiple of N. Four columns share one draw.
template <int N>
__device__ Floats<N> uniforms(RandomKey key, std::uint64_t row, std::int64_t column) {
  Floats<N> values;
  if constexpr (N % 4 == 0) {
#pragma unroll
    for (int part = 0; part < N / 4; ++part) {
      const auto bits = philox(key, row, static_cast<std::uint64_t>(column) / 4 + part);
#pragma unroll
      for (int i = 0; i < 4; ++i) values[4 * part + i] = unit_float(bits[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = uniform(key, row, static_cast<std::uint64_t>(column) + i);
  }
  return values;
}

/// normal() of caravan/random.hpp; the same bits go in, the logarithm and the cosine are the GPU's.
__device__ inline float device_normal(RandomKey key, std::uint64_t row, std::uint64_t column) {
  const auto bits = philox(key, row, column >> 1);
  const bool second = (column & 1) != 0;
  const float radius = unit_float(second ? bits[2] : bits[0]), angle = unit_float(second ? bits[3] : bits[1]);
  return sqrtf(-2.0f * logf(radius)) * cosf(6.28318530717958647692f * angle);
}

}  // namespace caravan::cuda
