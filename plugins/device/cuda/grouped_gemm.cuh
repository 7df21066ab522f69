#pragma once

#include "grouped_store.cuh"

// Products of groups of rows on the tensor cores: a persistent grid, one producer thread that loads, two
// warpgroups that multiply 64 × 256 each.
namespace caravan::cuda {

/// Four steps of 16 along the depth.
template <class R>
__device__ void multiply_stage(float (&d)[128], const Ring<R>& ring, int stage, int group, int add) {
  using namespace hopper;
  const std::uint64_t a = tile_descriptor<R::kMajorA>(ring.a(stage) + group * kSlab);
  const std::uint64_t b = tile_descriptor<R::kMajorB>(ring.b(stage));
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    multiply_64x256x16<R::kMajorA, R::kMajorB>(d, a + step * kStepBytes<R::kMajorA> / 16,
                                               b + step * kStepBytes<R::kMajorB> / 16, step > 0 ? 1 : add);
  }
}

/// The stage holds `valid` < 64 rows of the group, then rows of the next one: those that share a step of 16
/// with them become zero in both operands (a zero in one is not enough, the other may hold a NaN). Both
/// warpgroups.
template <class R>
__device__ void clear_tail(const Ring<R>& ring, int stage, int group, int valid) {
  const int thread = threadIdx.x % 128, rows = (valid + 15) / 16 * 16 - valid;
  const std::uint32_t slabs[3] = {ring.a(stage) + group * kSlab, ring.b(stage) + 2 * group * kSlab,
                                  ring.b(stage) + (2 * group + 1) * kSlab};
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    const int row = thread / 8;
    if (row < rows) {
      asm volatile(
          "st.shared.v4.u32 [%0], {%1, %1, %1, %1};" ::"r"(slabs[s] + (valid + row) * 128 + thread % 8 * 16),
          "r"(0)
          : "memory");
    }
  }
  hopper::fence_async();
  hopper::sync_named<128 * kConsumers>(1);
}

/// The last rows of a group, as few steps of 16 as they need.
template <class R>
__device__ void multiply_tail(float (&d)[128], const Ring<R>& ring, int stage, int group, int valid,
                              int add) {
  using namespace hopper;
  std::uint64_t a = tile_descriptor<R::kMajorA>(ring.a(stage) + group * kSlab);
  std::uint64_t b = tile_descriptor<R::kMajorB>(ring.b(stage));
#pragma unroll 1
  for (int step = 0; step < (valid + 15) / 16; ++step) {
    open_products();
    multiply_64x256x16<R::kMajorA, R::kMajorB>(d, a, b, add);
    close_products();
    wait_products<0>();
    a += kStepBytes<R::kMajorA> / 16;
    b += kStepBytes<R::kMajorB> / 16;
    add = 1;
  }
}

/// Full stages: one batch of products is in flight while the next is issued, and a stage is free when the
/// batch after it has started.
template <class R>
__device__ void multiply_full(float (&d)[128], const Ring<R>& ring, Turn<R>& turn, int group, int blocks) {
  int last = 0;
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    hopper::wait<false>(ring.full(turn.stage), turn.parity);
    hopper::open_products();
    multiply_stage(d, ring, turn.stage, group, block > 0);
    hopper::close_products();
    hopper::wait_products<1>();
    if (block > 0) ring.release(last);
    last = turn.stage;
    turn.advance();
  }
  hopper::wait_products<0>();
  if (blocks > 0) ring.release(last);
}

/// The warpgroup's rows of the tile do not exist: it lets its stages pass, so that the ring goes round.
template <class R>
__device__ void pass_full(const Ring<R>& ring, Turn<R>& turn, int blocks) {
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    hopper::wait<false>(ring.full(turn.stage), turn.parity);
    ring.release(turn.stage);
    turn.advance();
  }
}

/// d = the sums of the warpgroup's rows of the tile, when there are any.
template <class R>
__device__ void multiply_tile(float (&d)[128], const Ring<R>& ring, Turn<R>& turn, int group, int depth,
                              bool active) {
  const int tail = R::kOfRows ? 0 : depth % kTileDepth;
  const int full = R::kOfRows ? (depth + kTileDepth - 1) / kTileDepth : depth / kTileDepth;
  if (active) {
    multiply_full(d, ring, turn, group, full);
  } else {
    pass_full(ring, turn, full);
  }
  if (tail == 0) return;
  hopper::wait<false>(ring.full(turn.stage), turn.parity);
  clear_tail(ring, turn.stage, group, tail);
  if (active) multiply_tail(d, ring, turn.stage, group, tail, full > 0);
  ring.release(turn.stage);
  turn.advance();
}

/// Warp `warp` of the consumers.
template <class R>
__device__ void consume(const GroupedMaps& maps, const GroupedCall& call, const Ring<R>& ring, int warp) {
  typename R::Walk walk = R::walk(call);
  Tile tile;
  Turn<R> turn;
  float d[128];
  int box = 0;
  while (walk.next(tile)) {
    const int group = warp / 4, rows = R::rows_left(call, tile) - 64 * group;
    const bool active = rows > 0 && tile.column < call.columns;
    multiply_tile(d, ring, turn, group, R::depth(call, tile), active);
    const WarpTile to{tile.group, (R::kOfRows ? tile.first : 0) + tile.row + 16 * warp, tile.column,
                      rows - warp % 4 * 16, call.columns - tile.column};
    if (!active || to.rows_left <= 0) continue;
    if constexpr (!R::kOfRows) {
      add_f32<R::kStaging / kBoxBytes>(d, maps.out, to, ring.staging(warp), box);
    } else if (call.out_f32) {
      store_f32(d, call, to);
    } else {
      store_bf16(d, call, to, ring.staging(warp));
    }
  }
  if constexpr (!R::kOfRows) hopper::wait_boxes_read<0>();
}

inline constexpr int kGemmThreads = 128 * (1 + kConsumers);

template <class R>
__global__ void __launch_bounds__(kGemmThreads, 1)
    grouped_gemm_kernel(const __grid_constant__ GroupedMaps maps, const __grid_constant__ GroupedCall call) {
  extern __shared__ unsigned char shared[];
  const Ring<R> ring(shared);
  if (threadIdx.x == 0) ring.init_barriers();
  if constexpr (R::kCluster > 1) {
    hopper::sync_cluster();
  } else {
    __syncthreads();
  }
  // The same on all lanes, which tells the compiler that what follows is uniform.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp < 4) {
    hopper::give_registers<40>();
    if (threadIdx.x == 0) produce<R>(maps, call, ring);
  } else {
    hopper::take_registers<232>();
    consume<R>(maps, call, ring, warp - 4);
  }
  __syncwarp();
  // A block that ended would take its barriers from the other one of the cluster.
  if constexpr (R::kCluster > 1) hopper::sync_cluster();
}

}  // namespace caravan::cuda
