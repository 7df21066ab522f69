#pragma once

#include <climits>

#include "plugins/device/cuda/decoding/prompt_tiles.cuh"
#include "plugins/device/cuda/kernels/dtype.cuh"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"
#include "plugins/device/cuda/kernels/powers.cuh"
#include "plugins/device/cuda/kernels/wgmma.cuh"

// Softmax of 64 rows over tiles of keys, as in FlashAttention-3 (Shah 2024), scores and sums in registers.
namespace caravan::cuda {

/// Weights of 128 keys, as the tensor cores want them: [step of 16 keys][register].
using KeyWeights = std::uint32_t[kTileKeys / 16][4];

/// A warpgroup's rows of a head in a run. A thread has columns 8i + 2·(lane mod 4) (+ 1) of two rows.
template <int kSlabs>
class Rows64 {
 public:
  __device__ Rows64(const PagedArgs& args, const RowRun& run, int group_row)
      : args_(args), scale_(args.scale * kLog2E) {
    const FragmentLane lane;
    const int warp = static_cast<int>(threadIdx.x / kWarp) % 4;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      row_[half] = group_row + warp * 16 + lane.group + half * 8;
      const bool is_of_run = row_[half] >= run.first && row_[half] < run.end;
      position_[half] = is_of_run ? args.rows.positions[row_[half]] : -1;
    }
  }

  /// Weights of the keys from `first_key` on relative to the largest score so far, by which what was summed
  /// is scaled anew.
  __device__ void weigh(std::int64_t first_key, float (&scores)[kTileKeys / 2], KeyWeights& weights) {
    hide_later(first_key, scores);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float higher = most_[half];
#pragma unroll
      for (int i = 0; i < kTileKeys / 2; i += 4)
        higher = fmaxf(higher, fmaxf(scores[i + 2 * half], scores[i + 2 * half + 1]));
      higher = fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 1));
      higher = fmaxf(higher, __shfl_xor_sync(kWholeWarp, higher, 2));
      const float base = higher == -INFINITY ? 0.0f : higher * scale_;
      factor_[half] = power_of_two(fmaf(most_[half], scale_, -base));
      most_[half] = higher;
      float sum = 0;
#pragma unroll
      for (int i = 0; i < kTileKeys / 2; i += 4) {
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& score = scores[i + 2 * half + j];
          score = power_of_two(fmaf(score, scale_, -base));
          sum += score;
        }
      }
      total_[half] = total_[half] * factor_[half] + sum;
    }
#pragma unroll
    for (int step = 0; step < kTileKeys / 16; ++step) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* const of = scores + 8 * step + 4 * (i / 2) + 2 * (i % 2);
        weights[step][i] = pair_of(from_float<bf16>(of[0]), from_float<bf16>(of[1]));
      }
    }
  }

  /// sums = sums · factor + weights · values. Until done.
  __device__ void add_values(const KeyWeights& weights, std::uint32_t values) {
    using namespace hopper;
#pragma unroll
    for (int i = 0; i < 32 * kSlabs; ++i) sum_[i] *= factor_[i / 2 % 2];
    open_products();
#pragma unroll
    for (int step = 0; step < kTileKeys / 16; ++step) {
      const std::uint32_t at =
          values + step / 4 * (kSlabs * kSlabBytes) + step % 4 * kStepBytes<Major::outputs>;
      multiply<Major::outputs>(sum_, weights[step], tile_descriptor<Major::outputs>(at));
    }
    close_products();
    wait_products<0>();
  }

  __device__ void store(int head) {
    const FragmentLane lane;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float all = total_[half];
      all += __shfl_xor_sync(kWholeWarp, all, 1);
      all += __shfl_xor_sync(kWholeWarp, all, 2);
      if (position_[half] < 0) continue;
      const float part = 1.0f / all;
      bf16* const to = static_cast<bf16*>(args_.out) + row_[half] * args_.out_row + head * args_.out_head +
                       2 * lane.member;
#pragma unroll
      for (int c = 0; c < 8 * kSlabs; ++c) {
        if (8 * c >= args_.rows.width) break;
        const float* const of = sum_ + 4 * c + 2 * half;
        *reinterpret_cast<std::uint32_t*>(to + 8 * c) =
            pair_of(from_float<bf16>(of[0] * part), from_float<bf16>(of[1] * part));
      }
    }
  }

 private:
  /// −∞ for keys behind a row's own, where the tile has any. (A run's first key begins a tile.)
  __device__ void hide_later(std::int64_t first_key, float (&scores)[kTileKeys / 2]) const {
    const auto last = static_cast<std::int32_t>(min(first_key + kTileKeys - 1, std::int64_t{INT_MAX}));
    if (__all_sync(kWholeWarp, last <= min(position_[0], position_[1]))) return;
    const FragmentLane lane;
#pragma unroll
    for (int i = 0; i < kTileKeys / 2; ++i) {
      if (first_key + (i / 4 * 8 + 2 * lane.member + i % 2) > position_[i / 2 % 2]) scores[i] = -INFINITY;
    }
  }

  const PagedArgs& args_;
  float scale_;
  float sum_[32 * kSlabs]{};
  float most_[2]{-INFINITY, -INFINITY}, total_[2]{}, factor_[2]{};
  int row_[2];
  std::int32_t position_[2];  ///< −1: not of the run
};

/// Queries · keys. Until done.
template <int kSlabs>
__device__ void score(const PromptMemory<kSlabs>& memory, int group, int stage,
                      float (&scores)[kTileKeys / 2]) {
  using namespace hopper;
  open_products();
#pragma unroll
  for (int step = 0; step < 4 * kSlabs; ++step) {
    const std::uint32_t along = step % 4 * kStepBytes<Major::depth>;
    const std::uint32_t a = memory.queries(group) + step / 4 * kSlabBytes + along,
                        b = memory.keys(stage) + step / 4 * (kTileKeys * kLineBytes) + along;
    multiply<Major::depth, Major::depth>(scores, tile_descriptor<Major::depth>(a),
                                         tile_descriptor<Major::depth>(b), step > 0);
  }
  close_products();
  wait_products<0>();
}

/// Zeros in place of values from key `keys` of a tile on: what pages have there may be no number, which a
/// weight of 0 would not remove. All warpgroups that multiply.
template <int kSlabs>
__device__ void clear_values(const PromptMemory<kSlabs>& memory, int stage, int keys) {
  constexpr int kThreads = 128 * kRowGroups, kPieces = kSlabs * kLineBytes / 16;
  for (int at = static_cast<int>(threadIdx.x); at < (kTileKeys - keys) * kPieces; at += kThreads) {
    const int key = keys + at / kPieces, piece = at % kPieces;
    const std::uint32_t line =
        memory.values(stage) + (key / 64 * kSlabs + piece / 8) * kSlabBytes + key % 64 * kLineBytes;
    asm volatile("st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(line + piece % 8 * 16), "r"(0) : "memory");
  }
  hopper::fence_async();
  hopper::sync_named<kThreads>(1);
}

/// The rows of a run that are in a warpgroup's part of the tile. All warpgroups that multiply.
template <int kSlabs>
__device__ void attend(const PagedArgs& args, const PromptMemory<kSlabs>& memory, const RowRun& run, int tile,
                       int head, unsigned& taken) {
  const int group = static_cast<int>(threadIdx.x) / 128;
  const bool is_first_lane = threadIdx.x % kWarp == 0;
  Rows64<kSlabs> rows(args, run, tile + 64 * group);
  for (int t = 0; t < run.tiles(); ++t, ++taken) {
    const StageOf at(taken);
    const std::int64_t first_key = run.tile_key(t);
    float scores[kTileKeys / 2];
    KeyWeights weights;
    hopper::wait(memory.keys_full(at.stage), at.parity);
    score(memory, group, at.stage, scores);
    if (is_first_lane) hopper::arrive(memory.keys_free(at.stage));
    rows.weigh(first_key, scores, weights);
    hopper::wait(memory.values_full(at.stage), at.parity);
    if (first_key + kTileKeys > run.keys_end)
      clear_values(memory, at.stage, static_cast<int>(run.keys_end - first_key));
    rows.add_values(weights, memory.values(at.stage));
    if (is_first_lane) hopper::arrive(memory.values_free(at.stage));
  }
  rows.store(head);
}

}  // namespace caravan::cuda
