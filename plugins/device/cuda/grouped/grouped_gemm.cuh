#pragma once

#include "plugins/device/cuda/grouped/grouped_claims.cuh"
#include "plugins/device/cuda/grouped/grouped_products.cuh"
#include "plugins/device/cuda/grouped/grouped_squares.cuh"
#include "plugins/device/cuda/grouped/grouped_store.cuh"
#include "plugins/device/cuda/grouped/grouped_swiglu.cuh"

// Products of groups of rows on the tensor cores: a persistent grid, one producer thread that loads, two
// warpgroups that multiply.
namespace caravan::cuda {

template <class R>
__device__ TileExtent extent_of(const GroupedCall& call, const Tile& tile, Role role) {
  const int depth = R::depth(call, tile), left = R::rows_left(call, tile) - 64 * R::kGroupBlocks * role.group;
  const int rows = tile.column < call.columns ? left : 0;
  // Where the depth is not ragged, the copy engine fills the last stage up with zeros.
  if (R::kOfRows) return {rows, R::stages(call, tile), 0};
  return {rows, depth / kTileDepth, depth % kTileDepth};
}

template <class R>
__device__ WarpTile warp_tile(const GroupedCall& call, const Tile& tile, Role role, int warp) {
  const int row = 64 * R::kGroupBlocks * role.group + 16 * (warp % 4);
  return {R::kOfRows ? 0 : tile.group, (R::kOfRows ? tile.first : 0) + tile.row + row, tile.column,
          R::rows_left(call, tile) - row, call.columns - tile.column};
}

/// Rows of the sorted buffer.
template <class R>
__device__ void store_tile(const typename R::Sums& d, const GroupedMaps& maps, const GroupedCall& call,
                           WarpTile to, Boxes<R>& boxes) {
#pragma unroll
  for (int block = 0; block < R::kGroupBlocks; ++block) {
    if (to.rows_left <= 0) break;
    if constexpr (R::kFinish == Finish::gate_up) {
      store_gate_up(d[block], maps, call, to, boxes);
    } else if (call.out_f32) {
      store_f32(d[block], call, to);
    } else {
      store_bf16(d[block], maps, call, to, boxes);
    }
    to.row += 64;
    to.rows_left -= 64;
  }
}

template <class R, Accumulate kMode>
__device__ void store_tile(const typename R::Sums& d, const CUtensorMap& map, WeightTile& tile,
                           Boxes<R>& boxes) {
#pragma unroll
  for (int block = 0; block < R::kGroupBlocks; ++block) {
    if (tile.to.rows_left > 64 * block) store_weights<R, kMode>(d, block, map, tile, boxes);
  }
}

/// The first old values come while the tile is summed.
template <class R>
__device__ void fetch_first(WeightTile& tile, const CUtensorMap& map, Boxes<R>& boxes) {
  if (threadIdx.x % 32 != 0) return;
  boxes.restart_fetching();
#pragma unroll 1
  for (int box = tile.leaving(); box < R::kBoxes; ++box) tile.fetch_next(boxes, map);
}

template <class R>
__device__ PreTile pre_tile(const WarpTile& to, const TileExtent& extent) {
  const int parts = min(R::kTileColumns / 64, (to.columns_left + 63) / 64);
  return {to, parts, extent.rows > 0 ? min(R::kGroupBlocks, (to.rows_left + 63) / 64) : 0};
}

/// As many pairs of boxes as there is room for come while the tile is summed.
template <class R>
__device__ void fetch_first(PreTile& tile, const CUtensorMap& map, Boxes<R>& boxes) {
  if (threadIdx.x % 32 != 0) return;
  boxes.restart_fetching();
#pragma unroll 1
  for (int box = 0; box < R::kBoxes; box += 2) tile.fetch_next(boxes, map);
}

template <class R>
__device__ void store_tile(const typename R::Sums& d, const GroupedMaps& maps, const GroupedCall& call,
                           PreTile& tile, Boxes<R>& boxes) {
#pragma unroll
  for (int block = 0; block < R::kGroupBlocks; ++block) {
    if (tile.to.rows_left > 64 * block) store_pre_gradient(d[block], block, maps, call, tile, boxes);
  }
}

template <class R>
__device__ WeightTile weight_tile(const WarpTile& to, const TileExtent& extent) {
  const int columns = min(R::kTileColumns / 32, (to.columns_left + 31) / 32);
  const int blocks = extent.rows > 0 ? min(R::kGroupBlocks, (to.rows_left + 63) / 64) : 0;
  return {to, extent.stages * kTileDepth + extent.tail, columns, blocks};
}

/// Warp `warp` of the consumers.
template <class R>
__device__ void consume(const GroupedMaps& maps, const GroupedCall& call, const Ring<R>& ring, int warp) {
  const Role role{R::kTeams > 1 ? warp / 4 : 0, R::kTeams > 1 ? 0 : warp / 4};
  const bool adds = !R::kOfRows && call.accumulate == Accumulate::add;
  typename R::Walk walk = R::walk(call);
  typename R::Sums d;
  Boxes<R> boxes(ring, warp);
  Position<R> at;
  Tile tile;
  for (unsigned n = 0;; ++n) {
    const int unit = unit_of<true>(ring, n);
    if (!walk.seek(unit, tile)) break;
    if (n % R::kTeams != role.team) {
      at.advance(R::stages(call, tile));
      continue;
    }
    walk.place(tile);
    const TileExtent extent = extent_of<R>(call, tile, role);
    const WarpTile to = warp_tile<R>(call, tile, role, warp);
    WeightTile weight = weight_tile<R>(to, extent);
    PreTile pre = pre_tile<R>(to, extent);
    if (adds) fetch_first(weight, maps.out, boxes);
    if constexpr (R::kFinish == Finish::swiglu_backward) fetch_first(pre, maps.swiglu, boxes);
    if constexpr (R::kTeams > 1) hopper::wait(ring.turn(role.team), (n / R::kTeams + role.team + 1) % 2);
    sum_tile(d, ring, at, role, extent);
    if (!R::kOfRows && extent.rows <= 0) leave_squares<R>(call, unit, warp, 0);
    if (extent.rows <= 0) continue;
    if constexpr (R::kFinish == Finish::swiglu_backward) {
      store_tile(d, maps, call, pre, boxes);
    } else if constexpr (R::kOfRows) {
      store_tile(d, maps, call, to, boxes);
    } else if (adds) {
      store_tile<R, Accumulate::add>(d, maps.out, weight, boxes);
    } else {
      store_tile<R, Accumulate::replace>(d, maps.out, weight, boxes);
    }
    if constexpr (!R::kOfRows) leave_squares<R>(call, unit, warp, weight.squares);
  }
  hopper::wait_boxes_read<0>();
}

template <class R>
__global__ void __launch_bounds__(kGemmThreads, 1)
    grouped_gemm_kernel(const __grid_constant__ GroupedMaps maps, const __grid_constant__ GroupedCall call) {
  extern __shared__ unsigned char shared[];
  const Ring<R> ring(shared);
  int first = 0;
  if (threadIdx.x == 0) {
    first = Claims<R>::claim(call);  // the answer takes as long as the barriers
    ring.init_barriers();
  }
  if constexpr (R::kCluster > 1) {
    hopper::sync_cluster();
  } else {
    __syncthreads();
  }
  // The same on all lanes, which tells the compiler that what follows is uniform.
  const int warp = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp < 4) {
    hopper::give_registers<40>();
    if (threadIdx.x == 0) produce<R>(maps, call, ring, first);
  } else {
    hopper::take_registers<232>();
    consume<R>(maps, call, ring, warp - 4);
  }
  __syncwarp();
  if constexpr (!R::kOfRows) {
    if (call.squares) add_squares<R>(call);
    __syncwarp();
  }
  // A block that ended would take its barriers from the other one of the cluster.
  if constexpr (R::kCluster > 1) hopper::sync_cluster();
}

}  // namespace caravan::cuda
