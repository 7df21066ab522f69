#pragma once

#include "plugins/device/cuda/kernels/rows.cuh"

// The choices token·K + k in the order of their experts: a counting sort in chunks of tokens that is stable
// and always the same. counts[e][chunk] comes from whoever chose; add_before turns it into first rows;
// place_choices gives every choice its row.
namespace caravan::cuda {

struct SlotSort {
  int tokens, experts, top_k;
  int chunk, chunks;     ///< tokens of a chunk
  std::int32_t* counts;  ///< [E, chunks]
  Rows<std::int32_t> chosen, row_of;
  std::int32_t* offsets;
  std::int32_t* choice_of;
  float* totals;  ///< += rows of each expert, or null
};

/// Sum of the lanes up to this one.
__device__ inline int warp_prefix(int x) {
  const unsigned lane = threadIdx.x % kWarp;
#pragma unroll
  for (unsigned step = 1; step < kWarp; step *= 2) {
    const int other = __shfl_up_sync(kWholeWarp, x, step);
    if (lane >= step) x += other;
  }
  return x;
}

/// Replaces to[i] by the sum of to[0 … i − 1]; one warp. Returns the sum of all. Eight steps are asked for
/// at once, because a step alone takes as long as memory does.
__device__ inline int warp_scan(std::int32_t* to, int count) {
  constexpr int kSteps = 8, kLanes = static_cast<int>(kWarp);
  const int lane = threadIdx.x % kWarp;
  int before = 0;
  for (int first = 0; first < count; first += kSteps * kLanes) {
    int own[kSteps];
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const int at = first + i * kLanes + lane;
      own[i] = at < count ? __ldcg(to + at) : 0;
    }
#pragma unroll
    for (int i = 0; i < kSteps; ++i) {
      const int at = first + i * kLanes + lane, sum = warp_prefix(own[i]);
      if (at < count) to[at] = before + sum - own[i];
      before += __shfl_sync(kWholeWarp, sum, kWarp - 1);
    }
  }
  return before;
}

/// One block: offsets of the experts, and in counts how many rows of the expert come from earlier chunks.
__device__ inline void add_before(const SlotSort& sort) {
  const int warps = blockDim.x / kWarp, warp = threadIdx.x / kWarp;
  for (int e = warp; e < sort.experts; e += warps) {
    const int total = warp_scan(sort.counts + std::int64_t{e} * sort.chunks, sort.chunks);
    if (threadIdx.x % kWarp != 0) continue;
    sort.offsets[e] = total;
    if (sort.totals) sort.totals[e] += static_cast<float>(total);
  }
  __threadfence();
  __syncthreads();
  if (warp > 0) return;
  const int all = warp_scan(sort.offsets, sort.experts);
  if (threadIdx.x == 0) sort.offsets[sort.experts] = all;
}

/// One warp a chunk, choices in order: equal experts among 32 choices are counted by a vote. `next`: shared,
/// the first row of each expert that this chunk has.
__device__ inline void place_chunk(const SlotSort& sort, int chunk, std::int32_t* next) {
  const int lane = threadIdx.x, begin = chunk * sort.chunk;
  const int choices = min(sort.chunk, sort.tokens - begin) * sort.top_k;
  for (int first = 0; first < choices; first += kWarp) {
    const bool has = first + lane < choices;
    const unsigned active = __ballot_sync(kWholeWarp, has);
    if (has) {
      const int choice = begin * sort.top_k + first + lane, token = choice / sort.top_k,
                k = choice % sort.top_k;
      const int expert = *sort.chosen.at(token, k);
      const unsigned same = __match_any_sync(active, expert);
      const int row = next[expert] + __popc(same & ((1u << lane) - 1));
      __syncwarp(active);
      if (__ffs(same) - 1 == lane) next[expert] += __popc(same);
      *sort.row_of.at(token, k) = row;
      sort.choice_of[row] = choice;
    }
    __syncwarp();
  }
}

__global__ void __launch_bounds__(kWarp) place_choices(const SlotSort sort) {
  extern __shared__ std::int32_t next[];
  for (int e = threadIdx.x; e < sort.experts; e += kWarp)
    next[e] = sort.offsets[e] + sort.counts[std::int64_t{e} * sort.chunks + blockIdx.x];
  __syncwarp();
  place_chunk(sort, static_cast<int>(blockIdx.x), next);
}

/// One warp: all of it where there is one chunk, whose choices of each expert are `counts`, shared.
__device__ inline void place_only_chunk(const SlotSort& sort, std::int32_t* counts) {
  const int lane = threadIdx.x;
  int before = 0;
  for (int first = 0; first < sort.experts; first += kWarp) {
    const int e = first + lane, own = e < sort.experts ? counts[e] : 0, up_to = warp_prefix(own);
    if (e < sort.experts) {
      counts[e] = sort.offsets[e] = before + up_to - own;
      if (sort.totals) sort.totals[e] += static_cast<float>(own);
    }
    before += __shfl_sync(kWholeWarp, up_to, kWarp - 1);
  }
  if (lane == 0) sort.offsets[sort.experts] = before;
  __syncwarp();
  place_chunk(sort, 0, counts);
}

}  // namespace caravan::cuda
