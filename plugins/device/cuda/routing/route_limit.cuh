#pragma once

#include "plugins/device/cuda/kernels/rows.cuh"

// Drops the choices of a sequence that come after an expert's capacity, once all have been sorted: an
// expert's rows are in the order of tokens, so those of a sequence lie together and each row finds its number
// in it by itself. One block an expert; no result depends on timing.
namespace caravan::cuda {

constexpr int kLimitThreads = 256;

struct ChoiceLimit {
  int experts, choices, top_k;
  int of_sequence;  ///< choices of a sequence
  int capacity;
  std::int32_t* offsets;
  std::int32_t* choice_of;
  Rows<std::int32_t> row_of;
  double* dropped;  ///< += or null
  // As they were before: what the second launch reads while it writes the others.
  std::int32_t *old_offsets, *old_choices;
  std::int32_t* kept;  ///< [E] rows that each expert keeps
};

/// Of an expert's `choices`, ascending, whether that at `index` is among the first of its sequence.
__device__ inline bool is_taken(const ChoiceLimit& limit, const std::int32_t* choices, int index) {
  const int first_of_sequence = choices[index] / limit.of_sequence * limit.of_sequence;
  int low = 0, high = index;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (choices[middle] < first_of_sequence)
      low = middle + 1;
    else
      high = middle;
  }
  return index - low < limit.capacity;
}

__global__ void __launch_bounds__(kLimitThreads) count_taken(const ChoiceLimit limit) {
  __shared__ int kept;
  if (threadIdx.x == 0) kept = 0;
  __syncthreads();
  const int expert = blockIdx.x, begin = limit.offsets[expert], rows = limit.offsets[expert + 1] - begin;
  for (int index = threadIdx.x; index < rows; index += kLimitThreads) {
    limit.old_choices[begin + index] = limit.choice_of[begin + index];
    if (is_taken(limit, limit.choice_of + begin, index)) atomicAdd(&kept, 1);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  limit.kept[expert] = kept;
  limit.old_offsets[expert] = begin;
  if (expert + 1 == limit.experts) limit.old_offsets[limit.experts] = begin + rows;
}

/// Σ of kept[0 … count − 1], on every thread of the block.
__device__ inline int kept_before(const ChoiceLimit& limit, int count) {
  __shared__ int sum;
  if (threadIdx.x == 0) sum = 0;
  __syncthreads();
  for (int expert = threadIdx.x; expert < count; expert += kLimitThreads) atomicAdd(&sum, limit.kept[expert]);
  __syncthreads();
  const int result = sum;
  __syncthreads();
  return result;
}

/// How many earlier threads of the block say yes; `all`: how many of all.
__device__ inline int yes_before(bool yes, int& all) {
  constexpr int kWarps = kLimitThreads / static_cast<int>(kWarp);
  __shared__ int of_warp[kWarps];
  const unsigned votes = __ballot_sync(kWholeWarp, yes);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  if (lane == 0) of_warp[warp] = __popc(votes);
  __syncthreads();
  int before = __popc(votes & ((1u << lane) - 1));
  all = 0;
  for (int other = 0; other < kWarps; ++other) {
    before += other < warp ? of_warp[other] : 0;
    all += of_warp[other];
  }
  __syncthreads();
  return before;
}

__global__ void __launch_bounds__(kLimitThreads) place_taken(const ChoiceLimit limit) {
  const int expert = blockIdx.x, begin = limit.old_offsets[expert],
            rows = limit.old_offsets[expert + 1] - begin;
  int next = kept_before(limit, expert);
  if (threadIdx.x == 0) limit.offsets[expert] = next;
  for (int first = 0; first < rows; first += kLimitThreads) {
    const int index = first + static_cast<int>(threadIdx.x);
    const bool has = index < rows, taken = has && is_taken(limit, limit.old_choices + begin, index);
    int all = 0;
    const int row = next + yes_before(taken, all);
    if (has) {
      const int choice = limit.old_choices[begin + index];
      *limit.row_of.at(choice / limit.top_k, choice % limit.top_k) = taken ? row : -1;
      if (taken) limit.choice_of[row] = choice;
    }
    next += all;
  }
  if (expert > 0) return;
  const int total = kept_before(limit, limit.experts);
  for (int row = total + static_cast<int>(threadIdx.x); row < limit.choices; row += kLimitThreads)
    limit.choice_of[row] = -1;
  if (threadIdx.x != 0) return;
  limit.offsets[limit.experts] = total;
  if (limit.dropped) *limit.dropped += limit.choices - total;
}

}  // namespace caravan::cuda
