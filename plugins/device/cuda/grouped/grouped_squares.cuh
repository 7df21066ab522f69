#pragma once

#include "plugins/device/cuda/grouped/grouped_recipe.cuh"
#include "plugins/device/cuda/kernels/last_block.cuh"

// The sum of the squares of what a product has written to weights: a part for each tile and warp, because
// which block has which tile differs from launch to launch, and the last block adds them in one order.
namespace caravan::cuda {

inline constexpr int kGemmThreads = 128 * (1 + kConsumers);

__device__ inline double warp_sum(double x) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

/// By warp `warp` of the consumers for its tile of a unit; `squares`: of each thread.
template <class R>
__device__ void leave_squares(const GroupedCall& call, int unit, int warp, float squares) {
  if (!call.squares) return;
  const double sum = warp_sum(squares);
  const std::int64_t tile = std::int64_t{unit} * R::kCluster + R::rank();
  if (threadIdx.x % 32 == 0) call.parts[tile * R::kTeamWarps + warp % R::kTeamWarps] = sum;
}

/// By all threads; the last block adds what all have left.
template <class R>
__device__ void add_squares(const GroupedCall& call) {
  __shared__ double sums[kGemmThreads / 32];
  if (!is_last_block(call.ticket)) return;
  const std::int64_t parts = std::int64_t{R::walk(call).count_units()} * R::kCluster * R::kTeamWarps;
  double sum = 0;
  for (std::int64_t part = threadIdx.x; part < parts; part += kGemmThreads) sum += __ldcg(call.parts + part);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double total = 0;
  for (const double of_warp : sums) total += of_warp;
  *call.squares += total;
}

}  // namespace caravan::cuda
