#pragma once

#include "caravan/token_map.hpp"
#include "plugins/device/cuda/kernels/rows.cuh"

// Takes the rows of choices away that come after an expert's capacity. Three launches: each choice of whole
// sequences is marked; each expert counts what it keeps; its rows move up. No result depends on timing.
namespace caravan::cuda {

constexpr int kLimitThreads = 256;

struct ChoiceLimit {
  int experts, top_k;
  int all;     ///< tokens of whole sequences
  int length;  ///< tokens of a sequence
  int capacity;
  int choices;  ///< T·K of the tokens here
  Rows<std::int32_t> chosen;
  TokenMap tokens;  ///< which of all a token here is
  std::int32_t* offsets;
  std::int32_t* choice_of;
  Rows<std::int32_t> row_of;
  double* dropped;      ///< += or null
  std::int32_t* taken;  ///< [A·K] 1 where the expert takes the choice
  // As they were before: what the last launch reads while it writes the others.
  std::int32_t *old_offsets, *old_choices;
  std::int32_t* kept;  ///< [E] rows that each expert keeps

  /// Whether a choice of a token here is.
  __device__ bool is_taken(int choice) const {
    return taken[tokens.token(choice / top_k) * top_k + choice % top_k] != 0;
  }
};

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

/// A block for each sequence (x) and expert (y) goes through the choices of the one in order and marks those
/// of the other; a choice of no such expert stays unmarked.
__global__ void __launch_bounds__(kLimitThreads) mark_taken(const ChoiceLimit limit) {
  const int expert = blockIdx.y, begin = blockIdx.x * limit.length * limit.top_k;
  const int end = min(begin + limit.length * limit.top_k, limit.all * limit.top_k);
  int before = 0;
  for (int first = begin; first < end && before < limit.capacity; first += kLimitThreads) {
    const int choice = first + static_cast<int>(threadIdx.x);
    const bool chose = choice < end && *limit.chosen.at(choice / limit.top_k, choice % limit.top_k) == expert;
    int all = 0;
    const int place = before + yes_before(chose, all);
    if (chose && place < limit.capacity) limit.taken[choice] = 1;
    before += all;
  }
}

/// One block an expert.
__global__ void __launch_bounds__(kLimitThreads) count_kept(const ChoiceLimit limit) {
  __shared__ int kept;
  if (threadIdx.x == 0) kept = 0;
  __syncthreads();
  const int expert = blockIdx.x, begin = limit.offsets[expert], end = limit.offsets[expert + 1];
  for (int row = begin + static_cast<int>(threadIdx.x); row < end; row += kLimitThreads) {
    limit.old_choices[row] = limit.choice_of[row];
    if (limit.is_taken(limit.choice_of[row])) atomicAdd(&kept, 1);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  limit.kept[expert] = kept;
  limit.old_offsets[expert] = begin;
  if (expert + 1 == limit.experts) limit.old_offsets[limit.experts] = end;
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

/// One block an expert; the first one also ends what all have left.
__global__ void __launch_bounds__(kLimitThreads) move_kept(const ChoiceLimit limit) {
  const int expert = blockIdx.x, begin = limit.old_offsets[expert], end = limit.old_offsets[expert + 1];
  int next = kept_before(limit, expert);
  if (threadIdx.x == 0) limit.offsets[expert] = next;
  for (int first = begin; first < end; first += kLimitThreads) {
    const int old_row = first + static_cast<int>(threadIdx.x);
    const int choice = old_row < end ? limit.old_choices[old_row] : 0;
    const bool takes = old_row < end && limit.is_taken(choice);
    int all = 0;
    const int row = next + yes_before(takes, all);
    if (old_row < end) *limit.row_of.at(choice / limit.top_k, choice % limit.top_k) = takes ? row : -1;
    if (takes) limit.choice_of[row] = choice;
    next += all;
  }
  if (expert > 0) return;
  const int total = kept_before(limit, limit.experts);
  for (int row = total + static_cast<int>(threadIdx.x); row < limit.choices; row += kLimitThreads)
    limit.choice_of[row] = -1;
  if (threadIdx.x != 0) return;
  limit.offsets[limit.experts] = total;
  if (limit.dropped) *limit.dropped += limit.old_offsets[limit.experts] - total;
}

}  // namespace caravan::cuda
