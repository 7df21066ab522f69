#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"

// How a block multiplies few rows with 16 or 32 rows of weights: its warps share the depth, each has some
// kilobytes of weights on their way at any time, and the sums of all warps are added in their order.
namespace caravan::cuda::few {

inline constexpr int kWarps = 8, kThreads = kWarps * static_cast<int>(kWarp);
/// Depth of a warp's piece, and how far its next one is.
inline constexpr int kPiece = 32, kStride = kWarps * kPiece;
inline constexpr int kTileRows = 16, kTileTokens = 8;
/// Accesses of a lane that are on their way at once.
inline constexpr int kUnderWay = 16;

/// Of kTiles·16 rows of weights and kTokens·8 tokens, on this lane.
template <int kTiles, int kTokens>
using Sums = float[kTiles][kTokens][4];

/// The first depth of a lane's share of the first piece.
__device__ inline int first_depth() {
  return static_cast<int>(threadIdx.x / kWarp) * kPiece + 8 * Lane().member;
}
/// Pieces of a warp; as many for each of its lanes, because a product is a whole warp's.
__device__ inline int pieces_of(int depth) {
  const int before = static_cast<int>(threadIdx.x / kWarp) * kPiece;
  return depth > before ? (depth - before + kStride - 1) / kStride : 0;
}

/// sum += the weights of a piece times eight tokens' elements.
__device__ inline void multiply_piece(float (&sum)[4], const Eight (&weights)[2], const Eight& tokens) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const std::uint32_t a[4] = {weights[0].pair[2 * half], weights[1].pair[2 * half],
                                weights[0].pair[2 * half + 1], weights[1].pair[2 * half + 1]};
    multiply_add(sum, a, tokens.pair[2 * half], tokens.pair[2 * half + 1]);
  }
}

/// Pieces of kTiles·16 rows of weights that are asked for together; two such batches are under way.
template <int kTiles>
inline constexpr int kBatch = kUnderWay / (4 * kTiles);
template <int kTiles>
using Batch = Eight[kBatch<kTiles>][kTiles][2];

/// Pieces [first, first + kBatch) of a warp, from the depth `begin` of its lane on; 0 beyond the depth.
template <int kTiles>
__device__ void read_batch(Batch<kTiles>& batch, const bf16* const (&weights)[kTiles][2], int depth,
                           int begin) {
#pragma unroll
  for (int u = 0; u < kBatch<kTiles>; ++u) {
    const int at = begin + u * kStride;
#pragma unroll
    for (int i = 0; i < 2 * kTiles; ++i)
      batch[u][i / 2][i % 2] = at < depth ? eight_at(weights[i / 2][i % 2] + at) : Eight{};
  }
}

/// sums += the batch times tokens; token(j, at) gives eight elements of token tile j.
template <int kTiles, int kTokens, class Token>
__device__ void multiply_batch(const Batch<kTiles>& batch, int depth, int begin, Sums<kTiles, kTokens>& sums,
                               const Token& token) {
#pragma unroll
  for (int u = 0; u < kBatch<kTiles>; ++u) {
    const int at = begin + u * kStride;
#pragma unroll
    for (int j = 0; j < kTokens; ++j) {
      const Eight x = at < depth ? token(j, at) : Eight{};
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) multiply_piece(sums[tile][j], batch[u][tile], x);
    }
  }
}

/// This warp's part of the depth. A lane has the rows weights[tile][0 or 1]; ready() comes before the first
/// element of a token is read, while weights are on their way already.
template <int kTiles, int kTokens, class Ready, class Token>
__device__ void multiply(const bf16* const (&weights)[kTiles][2], int depth, Sums<kTiles, kTokens>& sums,
                         const Ready& ready, const Token& token) {
  constexpr int kStep = kBatch<kTiles> * kStride;
  const int first = first_depth(), end = first + pieces_of(depth) * kStride;
  Batch<kTiles> even, odd;
  read_batch<kTiles>(even, weights, depth, first);
  read_batch<kTiles>(odd, weights, depth, first + kStep);
  ready();
  for (int at = first; at < end; at += 2 * kStep) {
    multiply_batch<kTiles, kTokens>(even, depth, at, sums, token);
    read_batch<kTiles>(even, weights, depth, at + 2 * kStep);
    multiply_batch<kTiles, kTokens>(odd, depth, at + kStep, sums, token);
    read_batch<kTiles>(odd, weights, depth, at + 3 * kStep);
  }
}

/// A group's rows [first, end); none: there is no such group.
struct GroupRows {
  int group = 0, first = 0, end = 0;
};

/// The group with rows that `which` others with rows are before, of at most `rows` rows in all. All lanes of
/// a warp.
__device__ inline GroupRows nonempty_group(const std::int32_t* offsets, int groups, int rows, int which) {
  for (int begin = 0; begin < groups; begin += static_cast<int>(kWarp)) {
    const int group = begin + static_cast<int>(threadIdx.x % kWarp);
    const bool has_rows = group < groups && offsets[group + 1] > offsets[group];
    const unsigned mask = __ballot_sync(kWholeWarp, has_rows);
    if (which < __popc(mask)) {
      const int found = begin + static_cast<int>(__fns(mask, 0, which + 1));
      return {found, offsets[found], min(offsets[found + 1], rows)};
    }
    which -= __popc(mask);
  }
  return {};
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
  /// The number of the sum of a row of weights, 0 to 15, and a token.
  __device__ static int number(int row, int token) {
    const int lane = row % 8 * 4 + token % kTileTokens / 2, element = row / 8 * 2 + token % 2;
    return (token / kTileTokens * 4 + element) * static_cast<int>(kWarp) + lane;
  }
};

/// The sums of all warps, a tile of tokens after another, of one tile of weights after another.
template <int kCount>
struct Parts {
  static constexpr int kOfTile = 4 * static_cast<int>(kWarp);
  float at[kWarps][kCount * kOfTile];

  __device__ void put(int tile, const float (&sums)[4]) {
    const int warp = static_cast<int>(threadIdx.x / kWarp), lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
    for (int i = 0; i < 4; ++i) at[warp][tile * kOfTile + i * static_cast<int>(kWarp) + lane] = sums[i];
  }
  __device__ float sum(int index) const {
    float total = at[0][index];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) total += at[warp][index];
    return total;
  }
};

/// Memory of a block beyond what it has without asking.
template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  if (bytes > 48 << 10)
    CARAVAN_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
}

}  // namespace caravan::cuda::few
