#pragma once

#include <cstdint>

#include "plugins/device/cuda/kernels/follow.cuh"
#include "plugins/device/cuda/kernels/hopper.cuh"
#include "plugins/device/cuda/kernels/narrow_fragments.cuh"

// How a block multiplies few tokens with many rows of weights: the copy engine brings 16 rows at a time, a
// chunk of their depth after another, into a ring of shared memory, some chunks ahead of the warps, which
// share the depth of a chunk. So the memory is never idle, and one block on each multiprocessor does.
namespace caravan::cuda::streamed {

inline constexpr int kWarps = 16, kThreads = kWarps * static_cast<int>(kWarp);
inline constexpr int kTileRows = 16, kTileTokens = 8;
/// Depth of a warp's piece of a chunk, and of the chunk.
inline constexpr int kPiece = 32, kChunk = kPiece * kWarps;

/// 16 rows of a chunk; lines of shared memory that two neighbouring rows are read from do not collide.
struct alignas(128) Chunk {
  static constexpr int kRow = kChunk + 32;
  bf16 at[kTileRows][kRow];
};

constexpr int chunks_of(int depth) {
  return (depth + kChunk - 1) / kChunk;
}

/// Depth [begin, begin + count) of the rows of a tile; count 0: there is no more.
struct Asked {
  int begin = 0, count = 0;
};

/// The chunks of a block, in the order in which it asks for them.
template <int kAhead>
class Stream {
 public:
  struct Memory {
    Chunk chunks[kAhead];
    std::uint64_t full[kAhead];
  };

  __device__ explicit Stream(Memory& memory) : memory_(memory) {
    if (threadIdx.x == 0) {
      for (int i = 0; i < kAhead; ++i) hopper::init_barrier(full(i), 1);
      hopper::fence_barrier_init();
    }
    __syncthreads();
  }

  /// Warp 0: row_at(r) is where row r of the tile begins, null where there is none.
  template <class RowAt>
  __device__ void ask(const Asked& asked, const RowAt& row_at) {
    const int slot = asked_ % kAhead, lane = static_cast<int>(threadIdx.x);
    ++asked_;
    const bf16* const from = asked.count > 0 && lane < kTileRows ? row_at(lane) : nullptr;
    const unsigned rows = static_cast<unsigned>(__popc(__ballot_sync(kWholeWarp, from != nullptr)));
    const unsigned bytes = static_cast<unsigned>(asked.count) * unsigned{sizeof(bf16)};
    if (lane == 0) hopper::arrive_expecting(full(slot), rows * bytes);
    __syncwarp();
    if (from == nullptr) return;
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
            hopper::shared_address(memory_.chunks[slot].at[lane])),
        "l"(from + asked.begin), "r"(bytes), "r"(full(slot))
        : "memory");
  }

  /// The next chunk, once it is there. The warps are done with it at the next __syncthreads().
  __device__ const Chunk& next() {
    const int slot = read_ % kAhead;
    hopper::wait(full(slot), static_cast<unsigned>(read_ / kAhead) & 1u);
    ++read_;
    return memory_.chunks[slot];
  }

 private:
  __device__ std::uint32_t full(int slot) const { return hopper::shared_address(&memory_.full[slot]); }

  Memory& memory_;
  int asked_ = 0, read_ = 0;
};

/// Where this lane's eight elements are within a chunk.
__device__ inline int depth_in_chunk() {
  return static_cast<int>(threadIdx.x / kWarp) * kPiece + 8 * Lane().member;
}

/// What this lane needs of a token that begins at `row`; zeros where there is none, or no more of it.
__device__ inline Eight token_piece(const bf16* row, const Asked& asked) {
  const int depth = depth_in_chunk();
  return row && depth < asked.count ? eight_at(row + asked.begin + depth) : Eight{};
}

/// This lane's part of two rows of a chunk.
struct WeightPiece {
  Eight low{}, high{};

  __device__ WeightPiece(const Chunk& chunk, const Asked& asked) {
    const int depth = depth_in_chunk(), row = Lane().group;
    if (depth >= asked.count) return;
    low = eight_at(&chunk.at[row][depth]);
    high = eight_at(&chunk.at[row + 8][depth]);
  }
  /// sum += these rows times a tile of tokens.
  __device__ void multiply(const Eight& tokens, float (&sum)[4]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t a[4] = {low.pair[2 * half], high.pair[2 * half], low.pair[2 * half + 1],
                                  high.pair[2 * half + 1]};
      multiply_add(sum, a, tokens.pair[2 * half], tokens.pair[2 * half + 1]);
    }
  }
};

/// The number of the sum of a row of weights, 0 to 15, and a token among those of all tiles of tokens.
struct Place {
  int row, token;
  __device__ explicit Place(int number) {
    const int lane = number % static_cast<int>(kWarp), element = number / static_cast<int>(kWarp) % 4,
              tile = number / (4 * static_cast<int>(kWarp));
    row = lane / 4 + element / 2 * 8;
    token = tile * kTileTokens + 2 * (lane % 4) + element % 2;
  }
  __device__ static int number(int row, int token) {
    const int lane = row % 8 * 4 + token % kTileTokens / 2, element = row / 8 * 2 + token % 2;
    return (token / kTileTokens * 4 + element) * static_cast<int>(kWarp) + lane;
  }
};

/// The sums of all warps, which are added in their order.
template <int kTiles>
struct Parts {
  static constexpr int kCount = kTiles * 4 * static_cast<int>(kWarp);
  float at[kWarps][kCount];

  __device__ void put(int tile, const float (&sums)[4]) {
    const int warp = static_cast<int>(threadIdx.x / kWarp), lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll
    for (int i = 0; i < 4; ++i) at[warp][(tile * 4 + i) * static_cast<int>(kWarp) + lane] = sums[i];
  }
  __device__ float sum(int number) const {
    float total = at[0][number];
#pragma unroll
    for (int warp = 1; warp < kWarps; ++warp) total += at[warp][number];
    return total;
  }
};

/// A group's rows [first, end); none: there is no such group.
struct GroupRows {
  int group = 0, first = 0, end = 0;
};

/// A warp lists the groups that have rows, of at most `rows` in all; how many there are.
template <int kMost>
__device__ int list_groups(const std::int32_t* offsets, int groups, int rows, GroupRows (&list)[kMost]) {
  int count = 0;
  for (int begin = 0; begin < groups; begin += static_cast<int>(kWarp)) {
    const int lane = static_cast<int>(threadIdx.x % kWarp), group = begin + lane;
    const int first = group < groups ? offsets[group] : 0,
              end = group < groups ? min(offsets[group + 1], rows) : 0;
    const unsigned mask = __ballot_sync(kWholeWarp, end > first);
    const int at = count + __popc(mask & ((1u << lane) - 1));
    if (end > first && at < kMost) list[at] = {group, first, end};
    count += __popc(mask);
  }
  return min(count, kMost);
}

/// Chunks that there is room for beside `others` bytes, where `blocks` are on a multiprocessor at once: one
/// and the next kernel's, which asks for its first chunks while this one ends.
constexpr int chunks_beside(std::size_t others, int blocks) {
  const std::size_t room = (std::size_t{224} << 10) / static_cast<std::size_t>(blocks);
  return static_cast<int>((room - others - 256) / (sizeof(Chunk) + sizeof(std::uint64_t)));
}

/// The part of `count` that block `block` of `blocks` has begins here.
__device__ inline int share_begin(int count, int block, int blocks) {
  return static_cast<int>(static_cast<std::int64_t>(count) * block / blocks);
}

}  // namespace caravan::cuda::streamed
