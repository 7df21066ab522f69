#pragma once

#include "plugins/device/cuda/grouped/grouped_pipeline.cuh"

// How a team of warpgroups sums a tile.
namespace caravan::cuda {

/// What a warpgroup does in a block: its team, its place in the team.
struct Role {
  int team, group;
};

/// The part of a tile that a warpgroup sums.
struct TileExtent {
  int rows;          ///< that exist; may be more than it has, or negative
  int stages, tail;  ///< of the depth: full stages, and what is left after them
};

/// Four steps of 16 along the depth, for the first kBlocks of the warpgroup's blocks of 64 rows.
template <class R, int kBlocks>
__device__ void multiply_stage(typename R::Sums& d, const Ring<R>& ring, int stage, Role role, int add) {
  using namespace hopper;
  const std::uint64_t a = tile_descriptor<R::kMajorA>(ring.a(stage) + role.group * R::kGroupBlocks * kSlab);
  const std::uint64_t b = tile_descriptor<R::kMajorB>(ring.b(stage));
#pragma unroll
  for (int step = 0; step < 4; ++step) {
#pragma unroll
    for (int m = 0; m < kBlocks; ++m) {
      multiply<R::kMajorA, R::kMajorB>(d[m], a + (m * kSlab + step * kStepBytes<R::kMajorA>) / 16,
                                       b + step * kStepBytes<R::kMajorB> / 16, step > 0 ? 1 : add);
    }
  }
}

/// The stage holds `valid` < 64 rows of the group, then rows of the next one: those that share a step of 16
/// with them become zero in both operands (a zero in one is not enough, the other may hold a NaN). All
/// warpgroups of the team.
template <class R>
__device__ void clear_tail(const Ring<R>& ring, int stage, Role role, int valid) {
  const int thread = threadIdx.x % 128, row = thread / 8, rows = (valid + 15) / 16 * 16 - valid;
  constexpr int kShare = (R::kSlabsA + R::kSlabsB) / R::kTeamGroups;
#pragma unroll
  for (int s = 0; s < kShare; ++s) {
    const std::uint32_t slab = ring.a(stage) + (role.group * kShare + s) * kSlab;
    if (row < rows) {
      asm volatile(
          "st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(slab + (valid + row) * 128 + thread % 8 * 16),
          "r"(0)
          : "memory");
    }
  }
  hopper::fence_async();
  hopper::sync_named<128 * R::kTeamGroups>(1 + role.team);
}

/// The last rows of a group, as few steps of 16 as they need.
template <class R>
__device__ void multiply_tail(typename R::Sums& d, const Ring<R>& ring, int stage, Role role, int valid,
                              int add) {
  using namespace hopper;
  std::uint64_t a = tile_descriptor<R::kMajorA>(ring.a(stage) + role.group * R::kGroupBlocks * kSlab);
  std::uint64_t b = tile_descriptor<R::kMajorB>(ring.b(stage));
#pragma unroll 1
  for (int step = 0; step < (valid + 15) / 16; ++step) {
    open_products();
#pragma unroll
    for (int m = 0; m < R::kGroupBlocks; ++m) {
      multiply<R::kMajorA, R::kMajorB>(d[m], a + m * kSlab / 16, b, add);
    }
    close_products();
    wait_products<0>();
    a += kStepBytes<R::kMajorA> / 16;
    b += kStepBytes<R::kMajorB> / 16;
    add = 1;
  }
}

/// Full stages: one batch of products is in flight while the next is issued, and a stage is free when the
/// batch after it has started. The last batch is still in flight at the end.
template <class R, int kBlocks>
__device__ void multiply_full(typename R::Sums& d, const Ring<R>& ring, Position<R>& at, Role role,
                              int stages) {
#pragma unroll 1
  for (int block = 0; block < stages; ++block) {
    hopper::wait(ring.full(at.stage), at.parity);
    hopper::open_products();
    multiply_stage<R, kBlocks>(d, ring, at.stage, role, block > 0);
    hopper::close_products();
    hopper::wait_products<1>();
    if (block > 0) ring.release(at.before());
    at.advance();
  }
}

/// The warpgroup's rows of the tile do not exist: it lets its stages pass, so that the ring goes round.
template <class R>
__device__ void pass_full(const Ring<R>& ring, Position<R>& at, int stages) {
#pragma unroll 1
  for (int block = 0; block < stages; ++block) {
    hopper::wait(ring.full(at.stage), at.parity);
    ring.release(at.stage);
    at.advance();
  }
}

/// Lets the other team multiply: it may wait for its stages now, because those before them have arrived.
template <class R>
__device__ void pass_turn(const Ring<R>& ring, Role role) {
  if constexpr (R::kTeams > 1) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) hopper::arrive(ring.turn(1 - role.team));
  }
}

/// The full stages of a tile of which the warpgroup has `rows` rows; passes the turn when they are its last.
template <class R>
__device__ void sum_full(typename R::Sums& d, const Ring<R>& ring, Position<R>& at, Role role,
                         TileExtent tile) {
  const bool last = tile.tail == 0;
  if (tile.rows <= 0) {
    pass_full(ring, at, tile.stages);
    if (last) pass_turn(ring, role);
    return;
  }
  if (R::kOfRows && R::kGroupBlocks > 1 && tile.rows <= 64) {
    multiply_full<R, 1>(d, ring, at, role, tile.stages);
  } else {
    multiply_full<R, R::kGroupBlocks>(d, ring, at, role, tile.stages);
  }
  if (last) pass_turn(ring, role);
  hopper::wait_products<0>();
  if (tile.stages > 0) ring.release(at.before());
}

/// d = the sums of the warpgroup's rows of the tile, when there are any.
template <class R>
__device__ void sum_tile(typename R::Sums& d, const Ring<R>& ring, Position<R>& at, Role role,
                         TileExtent tile) {
  sum_full(d, ring, at, role, tile);
  if (tile.tail == 0) return;
  hopper::wait(ring.full(at.stage), at.parity);
  pass_turn(ring, role);
  clear_tail(ring, at.stage, role, tile.tail);
  if (tile.rows > 0) multiply_tail(d, ring, at.stage, role, tile.tail, tile.stages > 0);
  ring.release(at.stage);
  at.advance();
}

}  // namespace caravan::cuda
