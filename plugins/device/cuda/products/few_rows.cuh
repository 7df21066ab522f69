#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"
#include "plugins/device/cuda/kernels/rows.cuh"
#include "plugins/device/cuda/kernels/swiglu.cuh"

// How a block multiplies few rows with 16 or 32 rows of weights: its warps share the depth, with most of it
// on its way at once, and the sums of all warps are added in their order.
namespace caravan::cuda::few {

/// Warps of a block share the depth: as many as have all of it under way at once where it is some 4,000.
inline constexpr int kWarps = 16, kThreads = kWarps * static_cast<int>(kWarp);
inline constexpr int kStep = 32, kStepOfBlock = kWarps * kStep;
/// Blocks that share a multiprocessor: while one adds up, the other's weights are on their way. Many tokens
/// need all registers.
template <int kTokens>
inline constexpr int kBlocks = kTokens == 1 ? 2 : 1;
/// Accesses to weights that a thread has under way.
template <int kTokens>
inline constexpr int kUnderWay = 16 / kBlocks<kTokens>;
inline constexpr int kTileRows = 16, kTileTokens = 8;

struct Args {
  Rows<bf16> x;
  const bf16* w;
  std::int64_t row_stride, group_stride;
  const std::int32_t *offsets, *choice_of;
  Rows<float> weights;
  int groups, rows, columns, depth, tokens, top_k;
  int halves;  ///< rows of weights between a gate and its up; 0: there are none
};

template <class Y>
struct Out {
  Rows<Y> y, addend;
  Rows<bf16> activated;
};

/// Rows [first, end) of x, and the weights that they meet.
struct Group {
  int first = 0, end = 0;
  const bf16* w = nullptr;
};

/// The group with rows that `which` others with rows are before; without rows where there is none. All lanes
/// of a warp.
__device__ inline Group nonempty_group(const Args& args, int which) {
  for (int begin = 0; begin < args.groups; begin += static_cast<int>(kWarp)) {
    const int group = begin + static_cast<int>(threadIdx.x % kWarp);
    const bool has_rows = group < args.groups && args.offsets[group + 1] > args.offsets[group];
    const unsigned mask = __ballot_sync(kWholeWarp, has_rows);
    if (which < __popc(mask)) {
      const int found = begin + static_cast<int>(__fns(mask, 0, which + 1));
      return {args.offsets[found], min(args.offsets[found + 1], args.rows),
              args.w + found * args.group_stride};
    }
    which -= __popc(mask);
  }
  return {};
}

/// A row of x: as it is, or times the weight of the choice that it is of.
template <bool kChosen>
struct Token {
  const bf16* at = nullptr;
  float weight = 1;

  __device__ void find(const Args& args, int row) {
    if constexpr (!kChosen) {
      at = args.x.at(row);
    } else {
      const int choice = max(0, min(args.choice_of[row], args.tokens * args.top_k - 1)),
                token = choice / args.top_k;
      at = args.x.at(token);
      if (args.weights.data) weight = *args.weights.at(token, choice - token * args.top_k);
    }
  }
  __device__ Eight elements(int depth) const {
    Eight eight = eight_at(at + depth);
    if constexpr (kChosen) {
#pragma unroll
      for (std::uint32_t& pair : eight.pair) {
        auto& two = reinterpret_cast<__nv_bfloat162&>(pair);
        const float2 wide = __bfloat1622float2(two);
        two = __floats2bfloat162_rn(wide.x * weight, wide.y * weight);
      }
    }
    return eight;
  }
};

/// The row of weights of this block's tile `tile`, on this lane's low half.
template <int kTiles>
__device__ int row_of_tile(const Args& args, int tile) {
  const int first = static_cast<int>(blockIdx.x) * kTileRows;
  if (args.halves > 0) return first + tile * args.halves;
  return first * kTiles + tile * kTileRows;
}

template <int kTiles, int kTokens>
using Sums = float[kTiles][kTokens][4];

/// This warp's part of the depth of kTiles·16 rows of weights and kTokens·8 tokens. ready() comes before
/// anything of a token is read, while weights are on their way already.
template <int kTiles, int kTokens, bool kChosen, class Ready>
__device__ void multiply(const Args& args, const Group& group, int first_token, const Ready& ready,
                         Sums<kTiles, kTokens>& sums) {
  constexpr int kUnroll = kUnderWay<kTokens> / (2 * kTiles);
  const FragmentLane lane;
  const bf16* weights[kTiles][2];
#pragma unroll
  for (int i = 0; i < 2 * kTiles; ++i) {
    const int row = min(row_of_tile<kTiles>(args, i / 2) + lane.group + i % 2 * 8, args.columns - 1);
    weights[i / 2][i % 2] = group.w + row * args.row_stride;
  }
  Token<kChosen> tokens[kTokens];
  // As often on every lane, because a product is a whole warp's.
  const int first = static_cast<int>(threadIdx.x / kWarp) * kStep + 8 * lane.member;
  for (int begin = first; begin - 8 * lane.member < args.depth; begin += kUnroll * kStepOfBlock) {
    Eight w[kUnroll][kTiles][2];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int depth = begin + u * kStepOfBlock;
#pragma unroll
      for (int i = 0; i < 2 * kTiles; ++i)
        w[u][i / 2][i % 2] = depth < args.depth ? eight_at(weights[i / 2][i % 2] + depth) : Eight{};
    }
    if (begin == first) {
      ready();
#pragma unroll
      for (int j = 0; j < kTokens; ++j)
        tokens[j].find(args, min(first_token + j * kTileTokens + lane.group, group.end - 1));
    }
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) {
      const int depth = begin + u * kStepOfBlock;
#pragma unroll
      for (int j = 0; j < kTokens; ++j) {
        const Eight x = depth < args.depth ? tokens[j].elements(depth) : Eight{};
#pragma unroll
        for (int i = 0; i < 2 * kTiles; ++i) {
          const int tile = i / 2, half = i % 2;
          const std::uint32_t a[4] = {w[u][tile][0].pair[2 * half], w[u][tile][1].pair[2 * half],
                                      w[u][tile][0].pair[2 * half + 1], w[u][tile][1].pair[2 * half + 1]};
          multiply_add(sums[tile][j], a, x.pair[2 * half], x.pair[2 * half + 1]);
        }
      }
    }
  }
}

/// Where number `at` of a tile's sums goes: sums of a lane lie 32 apart.
struct Place {
  int row, token;
  __device__ explicit Place(int at) {
    const int lane = at % static_cast<int>(kWarp), element = at / static_cast<int>(kWarp) % 4,
              j = at / (4 * static_cast<int>(kWarp));
    row = lane / 4 + element / 2 * 8;
    token = j * kTileTokens + 2 * (lane % 4) + element % 2;
  }
};

/// The parts of all warps, in their order.
template <int kTiles, int kTokens>
struct Parts {
  static constexpr int kOfTile = kTokens * 4 * static_cast<int>(kWarp);
  float at[kWarps][kTiles * kOfTile];

  __device__ void put(const Sums<kTiles, kTokens>& sums) {
    const int warp = static_cast<int>(threadIdx.x / kWarp), lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
    for (int i = 0; i < kTiles * kTokens * 4; ++i)
      at[warp][i * static_cast<int>(kWarp) + lane] = sums[i / (4 * kTokens)][i / 4 % kTokens][i % 4];
  }
  __device__ float sum(int index) const {
    float total = at[0][index];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) total += at[warp][index];
    return total;
  }
};

template <class Y>
__device__ Y store_sum(const Out<Y>& out, int token, int column, float sum) {
  if (out.addend.data) sum += to_float(*out.addend.at(token, column));
  const Y stored = from_float<Y>(sum);
  if (out.y.data) *out.y.at(token, column) = stored;
  return stored;
}

template <class Y, int kTiles, int kTokens>
__device__ void store_tokens(const Args& args, const Out<Y>& out, const Group& group, int first_token,
                             const Parts<kTiles, kTokens>& parts) {
  constexpr int kOfTile = Parts<kTiles, kTokens>::kOfTile;
  for (int at = static_cast<int>(threadIdx.x); at < kTiles * kOfTile; at += kThreads) {
    const Place place(at % kOfTile);
    const int token = first_token + place.token, column = row_of_tile<kTiles>(args, at / kOfTile) + place.row;
    if (token < group.end && column < args.columns) store_sum(out, token, column, parts.sum(at));
  }
}

/// SwiGLU of numbers as they are stored.
template <int kTokens>
__device__ void store_activated(const Args& args, const Out<bf16>& out, const Group& group, int first_token,
                                const Parts<2, kTokens>& parts) {
  constexpr int kOfTile = Parts<2, kTokens>::kOfTile;
  for (int at = static_cast<int>(threadIdx.x); at < kOfTile; at += kThreads) {
    const Place place(at);
    const int token = first_token + place.token, column = row_of_tile<2>(args, 0) + place.row;
    if (token >= group.end || column >= args.halves) continue;
    const bf16 gate = store_sum(out, token, column, parts.sum(at)),
               up = store_sum(out, token, column + args.halves, parts.sum(at + kOfTile));
    *out.activated.at(token, column) = from_float<bf16>(swiglu(to_float(gate), to_float(up)));
  }
}

/// A warp has the weights of this block brought near, where they lie in one piece.
template <int kTiles>
__device__ void ask_for_weights(const Args& args) {
  const int tile = static_cast<int>(threadIdx.x);
  if (tile >= kTiles || args.row_stride != args.depth) return;
  const int row = row_of_tile<kTiles>(args, tile), rows = min(kTileRows, args.columns - row);
  if (rows > 0)
    ask_for(args.w + row * args.row_stride,
            static_cast<unsigned>(rows * args.depth) * unsigned{sizeof(bf16)});
}

/// All rows of a group, kTokens·8 at once.
template <class Y, int kTiles, int kTokens, bool kSwiglu, bool kChosen, class Ready>
__device__ void make_rows(const Args& args, const Out<Y>& out, const Group& group, const Ready& ready,
                          std::byte* memory) {
  auto& parts = *reinterpret_cast<Parts<kTiles, kTokens>*>(memory);
  for (int token = group.first; token < group.end; token += kTokens * kTileTokens) {
    Sums<kTiles, kTokens> sums{};
    multiply<kTiles, kTokens, kChosen>(args, group, token, ready, sums);
    __syncthreads();
    parts.put(sums);
    __syncthreads();
    if constexpr (kSwiglu)
      store_activated<kTokens>(args, out, group, token, parts);
    else
      store_tokens<Y, kTiles, kTokens>(args, out, group, token, parts);
  }
}

}  // namespace caravan::cuda::few
