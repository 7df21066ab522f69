#pragma once

#include <cuda_bf16.h>

#include "caravan/tensor.hpp"

// The element types of activations and weights, and the way from a DType to a kernel of that type.
namespace caravan::cuda {

using bf16 = __nv_bfloat16;

/// run.operator()<T>() for T = float or bf16; Call::compute_type has refused the others.
template <class Run>
void with_type(DType dtype, const Run& run) {
  if (dtype == DType::bf16) return run.template operator()<bf16>();
  run.template operator()<float>();
}

/// run.operator()<T, N>() with N = 8 elements a step where rows allow 16-byte accesses, else 1.
template <class Run>
void with_type_and_step(DType dtype, bool wide, const Run& run) {
  with_type(dtype, [&]<class T>() {
    if (wide) return run.template operator()<T, 8>();
    run.template operator()<T, 1>();
  });
}

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(bf16 x) {
  return __bfloat162float(x);
}
template <class T>
__device__ T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 from_float<bf16>(float x) {
  return __float2bfloat16_rn(x);
}

}  // namespace caravan::cuda
