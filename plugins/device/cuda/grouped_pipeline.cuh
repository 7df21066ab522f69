#pragma once

#include "grouped_tiles.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

// The shared memory of a tile product: a ring of stages that the copy engine fills and two warpgroups empty.
namespace caravan::cuda {

inline constexpr int kTileRows = 128, kTileColumns = 256, kTileDepth = 64;
inline constexpr int kSlab = 64 * 128;              ///< bytes of 64 rows of 128 bytes
inline constexpr int kStageA = 2 * kSlab;           ///< 128 × 64 in bf16
inline constexpr int kStage = kStageA + 4 * kSlab;  ///< and 256 × 64
inline constexpr int kConsumers = 2;                ///< warpgroups; each has 64 rows of the tile
inline constexpr int kConsumerWarps = 4 * kConsumers;

/// The tensor maps of one call: what the copy engine knows of the operands.
struct GroupedMaps {
  CUtensorMap a, b;
  CUtensorMap out;  ///< Product::weights only
};

/// One way to run a product: orders of the operands, blocks of a cluster that share loads, stages of the
/// ring.
template <Product kProduct_, hopper::Major kMajorB_, int kCluster_, int kStages_, int kStaging_>
struct Recipe {
  static constexpr Product kProduct = kProduct_;
  static constexpr bool kOfRows = kProduct == Product::rows;
  static constexpr hopper::Major kMajorA = kOfRows ? hopper::Major::depth : hopper::Major::outputs;
  static constexpr hopper::Major kMajorB = kMajorB_;
  static constexpr int kCluster = kCluster_, kStages = kStages_;
  static constexpr int kStaging = kStaging_;  ///< bytes a consumer warp passes its results through
  static constexpr int kSharedBytes = 1024 + kStages * kStage + kConsumerWarps * kStaging +
                                      2 * kStages * static_cast<int>(sizeof(std::uint64_t));
  static_assert(kSharedBytes <= 232448, "a block of compute capability 9.0 has 227 KiB");
  using Walk = TileWalk<kProduct, kTileRows, kTileColumns, kCluster>;

  __device__ static Walk walk(const GroupedCall& call) {
    const int rank = kCluster > 1 ? static_cast<int>(hopper::cluster_rank()) : 0;
    return Walk(call, static_cast<int>(blockIdx.x) / kCluster, static_cast<int>(gridDim.x) / kCluster, rank);
  }
  /// Summed indices of a tile.
  __device__ static int depth(const GroupedCall& call, const Tile& tile) {
    return kOfRows ? call.depth : tile.count;
  }
  /// Rows of a tile that exist; may be more than the tile has.
  __device__ static int rows_left(const GroupedCall& call, const Tile& tile) {
    return (kOfRows ? tile.count : call.out_rows) - tile.row;
  }
};

/// Addresses in shared memory. Everything that is swizzled starts at a multiple of 1024.
template <class R>
class Ring {
 public:
  __device__ explicit Ring(const void* shared) : base_((hopper::shared_address(shared) + 1023) & ~1023u) {}
  __device__ std::uint32_t a(int stage) const { return base_ + stage * kStage; }
  __device__ std::uint32_t b(int stage) const { return a(stage) + kStageA; }
  __device__ std::uint32_t staging(int warp) const {
    return base_ + R::kStages * kStage + warp * R::kStaging;
  }
  __device__ std::uint32_t full(int stage) const { return staging(kConsumerWarps) + 8 * stage; }
  __device__ std::uint32_t empty(int stage) const { return full(R::kStages) + 8 * stage; }

  __device__ void init_barriers() const {
    for (int stage = 0; stage < R::kStages; ++stage) {
      hopper::init_barrier(full(stage), 1);
      hopper::init_barrier(empty(stage), kConsumerWarps * R::kCluster);
    }
    hopper::fence_barrier_init();
  }
  /// By every consumer warp, when it has read the stage: the copy engine may write here and, where it copies
  /// to all blocks of the cluster, there.
  __device__ void release(int stage) const {
    const unsigned lane = threadIdx.x % 32;
    if constexpr (R::kCluster == 1) {
      if (lane == 0) hopper::arrive(empty(stage));
    } else {
      if (lane < R::kCluster) hopper::arrive_at(empty(stage), lane);
    }
  }

 private:
  std::uint32_t base_;
};

/// Where in the ring a role stands.
template <class R>
struct Turn {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == R::kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// A stage to fill, and the depth that it begins at.
struct StageLoad {
  std::uint32_t a, b, barrier;
  int depth, rank;
};

/// The rows of A serve both blocks of a cluster, whose tiles lie side by side: each loads half of them for
/// both.
template <class R>
__device__ void load_rows(const GroupedMaps& maps, const Tile& tile, const StageLoad& to) {
  const int half = to.rank * (kTileRows / R::kCluster), row = tile.first + tile.row + half;
  hopper::load_box<R::kCluster>(to.a + half * 128, maps.a, {to.depth, row, 0}, to.barrier);
  if constexpr (R::kMajorB == hopper::Major::depth) {
    hopper::load_box<1>(to.b, maps.b, {to.depth, tile.column, tile.group}, to.barrier);
  } else {
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      hopper::load_box<1>(to.b + s * kSlab, maps.b, {tile.column + 64 * s, to.depth, tile.group}, to.barrier);
    }
  }
}

/// Here the tiles lie one below the other, and B serves both.
template <class R>
__device__ void load_weights(const GroupedMaps& maps, const Tile& tile, const StageLoad& to) {
  const int row = tile.first + to.depth;
#pragma unroll
  for (int s = 0; s < 2; ++s) {
    hopper::load_box<1>(to.a + s * kSlab, maps.a, {tile.row + 64 * s, row, 0}, to.barrier);
  }
#pragma unroll
  for (int i = 0; i < 4 / R::kCluster; ++i) {
    const int s = to.rank * (4 / R::kCluster) + i;
    hopper::load_box<R::kCluster>(to.b + s * kSlab, maps.b, {tile.column + 64 * s, row, 0}, to.barrier);
  }
}

/// One thread: keeps the ring full.
template <class R>
__device__ void produce(const GroupedMaps& maps, const GroupedCall& call, const Ring<R>& ring) {
  typename R::Walk walk = R::walk(call);
  const int rank = R::kCluster > 1 ? static_cast<int>(hopper::cluster_rank()) : 0;
  Tile tile;
  Turn<R> turn;
  while (walk.next(tile)) {
    const int blocks = (R::depth(call, tile) + kTileDepth - 1) / kTileDepth;
    for (int block = 0; block < blocks; ++block) {
      hopper::wait<(R::kCluster > 1)>(ring.empty(turn.stage), turn.parity ^ 1);
      const StageLoad to{ring.a(turn.stage), ring.b(turn.stage), ring.full(turn.stage), block * kTileDepth,
                         rank};
      hopper::arrive_expecting(to.barrier, kStage);
      if constexpr (R::kOfRows) {
        load_rows<R>(maps, tile, to);
      } else {
        load_weights<R>(maps, tile, to);
      }
      turn.advance();
    }
  }
}

}  // namespace caravan::cuda
