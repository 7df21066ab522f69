#pragma once

#include "plugins/device/cuda/grouped/grouped_recipe.cuh"

// The shared memory of a tile product: a ring of stages that the copy engine fills and two warpgroups empty.
namespace caravan::cuda {

/// The tensor maps of one call: what the copy engine knows of the operands and of the output.
struct GroupedMaps {
  CUtensorMap a, b, out;
  CUtensorMap swiglu;  ///< what is written or read beside `out`, see Finish
};

/// Addresses in shared memory. Everything that is swizzled starts at a multiple of 1024.
template <class R>
class Ring {
 public:
  __device__ explicit Ring(const void* shared) : base_((hopper::shared_address(shared) + 1023) & ~1023u) {}
  __device__ std::uint32_t a(int stage) const { return base_ + stage * R::kStage; }
  __device__ std::uint32_t b(int stage) const { return a(stage) + R::kStageA; }
  /// Boxes of results of a consumer warp.
  __device__ std::uint32_t staging(int warp) const {
    return base_ + R::kStages * R::kStage + warp * R::kBoxes * kBoxBytes;
  }
  __device__ std::uint32_t full(int stage) const { return staging(kConsumerWarps) + 8 * stage; }
  __device__ std::uint32_t empty(int stage) const { return full(R::kStages) + 8 * stage; }
  /// The products of the tile before are issued: this team's turn.
  __device__ std::uint32_t turn(int team) const { return empty(R::kStages) + 8 * team; }
  /// The old values of a box are there.
  __device__ std::uint32_t loaded(int warp, int box) const { return turn(2) + 8 * (warp * R::kBoxes + box); }
  /// A unit's number is in its slot; everybody has read it.
  __device__ std::uint32_t handed(int slot) const { return loaded(kConsumerWarps, 0) + 8 * slot; }
  __device__ std::uint32_t taken(int slot) const { return handed(kClaims) + 8 * slot; }
  __device__ std::uint32_t unit(int slot) const { return taken(kClaims) + 4 * slot; }

  __device__ void init_barriers() const {
    for (int stage = 0; stage < R::kStages; ++stage) {
      hopper::init_barrier(full(stage), 1);
      hopper::init_barrier(empty(stage), 4 * R::kTeamGroups * R::kCluster);
    }
    for (int team = 0; team < 2; ++team) hopper::init_barrier(turn(team), 4);
    for (int box = 0; box < kConsumerWarps * R::kBoxes; ++box) hopper::init_barrier(loaded(0, box), 1);
    for (int slot = 0; slot < kClaims; ++slot) {
      hopper::init_barrier(handed(slot), 1);
      hopper::init_barrier(taken(slot), R::kCluster * (1 + kConsumerWarps));
    }
    hopper::fence_barrier_init();
  }
  /// By every warp of the team, when it has read the stage: the copy engine may write here and, where it
  /// copies to all blocks of the cluster, there.
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
struct Position {
  int stage = 0;
  unsigned parity = 0;
  __device__ void advance() {
    if (++stage == R::kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
  __device__ void advance(int stages) {
    stage += stages;
    parity ^= stage / R::kStages & 1;
    stage %= R::kStages;
  }
  __device__ int before() const { return (stage == 0 ? R::kStages : stage) - 1; }
};

/// A stage to fill, and the depth that it begins at.
struct StageLoad {
  std::uint32_t a, b, barrier;
  int depth, rank;
};

/// What a cluster shares, each of its blocks loads a part of for all.
template <class R>
__device__ void load_a(const GroupedMaps& maps, const Tile& tile, const StageLoad& to) {
  if constexpr (R::kMajorA == hopper::Major::depth) {
    const int part = R::kShareA > 1 ? to.rank * (R::kTileRows / R::kShareA) : 0;
    hopper::load_box<R::kShareA>(to.a + part * 128, maps.a, {to.depth, tile.first + tile.row + part, 0},
                                 to.barrier);
  } else {
#pragma unroll
    for (int s = 0; s < R::kSlabsA; ++s) {
      hopper::load_box<1>(to.a + s * kSlab, maps.a, {tile.row + 64 * s, tile.first + to.depth, 0},
                          to.barrier);
    }
  }
}

template <class R>
__device__ void load_b(const GroupedMaps& maps, const Tile& tile, const StageLoad& to) {
  const int matrix = R::kOfRows ? tile.group : 0, depth = to.depth + (R::kOfRows ? 0 : tile.first);
  const int rank = R::kShareB > 1 ? to.rank : 0;
  if constexpr (R::kFinish == Finish::gate_up) {
    constexpr int kHalf = R::kTileColumns / 2;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      hopper::load_box<1>(to.b + half * kHalf * 128, maps.b, {depth, tile.column, 2 * matrix + half},
                          to.barrier);
    }
  } else if constexpr (R::kMajorB == hopper::Major::depth) {
    const int part = rank * (R::kTileColumns / R::kShareB);
    hopper::load_box<R::kShareB>(to.b + part * 128, maps.b, {depth, tile.column + part, matrix}, to.barrier);
  } else {
    const int part = rank * (kTileDepth / R::kShareB);
#pragma unroll
    for (int s = 0; s < R::kSlabsB; ++s) {
      hopper::load_box<R::kShareB>(to.b + s * kSlab + part * 128, maps.b,
                                   {tile.column + 64 * s, depth + part, matrix}, to.barrier);
    }
  }
}

/// The stages of a tile.
template <class R>
__device__ void load_tile(const GroupedMaps& maps, const Tile& tile, int stages, const Ring<R>& ring,
                          Position<R>& at) {
  for (int block = 0; block < stages; ++block) {
    hopper::wait(ring.empty(at.stage), at.parity ^ 1);
    const StageLoad to{ring.a(at.stage), ring.b(at.stage), ring.full(at.stage), block * kTileDepth,
                       R::rank()};
    hopper::arrive_expecting(to.barrier, R::kStage);
    load_a<R>(maps, tile, to);
    load_b<R>(maps, tile, to);
    at.advance();
  }
}

}  // namespace caravan::cuda
