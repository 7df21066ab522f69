#pragma once

#include "plugins/device/cuda/kernels/vec.cuh"

// What a warp computes of a row of logits, in double as the reference does.
namespace caravan::cuda {

__device__ inline double warp_max(double x) {
#pragma unroll
  for (unsigned step = kWarp / 2; step > 0; step /= 2) x = fmax(x, __shfl_xor_sync(kWholeWarp, x, step));
  return x;
}

/// ln Σ exp(value(e)) over e < count, on every lane. At least one value.
template <class Value>
__device__ double warp_log_sum_exp(int count, const Value& value) {
  const int lane = threadIdx.x % kWarp;
  double largest = -INFINITY, total = 0;
  for (int e = lane; e < count; e += kWarp) largest = fmax(largest, value(e));
  largest = warp_max(largest);
  for (int e = lane; e < count; e += kWarp) total += exp(value(e) - largest);
  return largest + log(warp_sum(total));
}

}  // namespace caravan::cuda
