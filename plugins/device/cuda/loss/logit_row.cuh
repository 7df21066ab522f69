#pragma once

#include "plugins/device/cuda/kernels/exponentials.cuh"

// A row of logits by a block of threads: its sum of exponentials, and its gradients.
namespace caravan::cuda::logit_row {

inline constexpr int kThreads = 512;

/// Of all threads, on every thread.
__device__ inline Exponentials merge_block(const Exponentials& mine) {
  __shared__ Exponentials parts[kThreads / kWarp];
  const Exponentials of_warp = mine.of_warp();
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = of_warp;
  __syncthreads();
  const unsigned lane = threadIdx.x % kWarp;
  return (lane < kThreads / kWarp ? parts[lane] : Exponentials{}).of_warp();
}

template <int N>
__device__ Exponentials exponentials_of(const float* row, std::int64_t columns) {
  Exponentials mine;
#pragma unroll 2
  for (std::int64_t v = std::int64_t{threadIdx.x} * N; v < columns; v += std::int64_t{kThreads} * N) {
    mine.add(load<N>(row + v));
  }
  return merge_block(mine);
}

/// The row of gradients may lie in the first bytes of the row of logits. Where an element of it is narrower
/// than a logit, a step is written when all threads have read theirs: it ends before the next one's logits.
template <int N, class T>
__device__ void write_gradient(const float* row, std::int64_t columns, const LogitGradient<T>& to) {
  for (std::int64_t begin = 0; begin < columns; begin += std::int64_t{kThreads} * N) {
    const std::int64_t v = begin + std::int64_t{threadIdx.x} * N;
    Floats<N> z{};
    if (v < columns) z = load<N>(row + v);
    if constexpr (sizeof(T) < sizeof(float)) __syncthreads();
    if (v < columns) to.write(v, z);
  }
}

template <class T>
__device__ void write_zeros(T* row, std::int64_t columns) {
  for (std::int64_t v = threadIdx.x; v < columns; v += kThreads) row[v] = from_float<T>(0);
}

}  // namespace caravan::cuda::logit_row
