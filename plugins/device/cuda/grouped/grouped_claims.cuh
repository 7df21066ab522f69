#pragma once

#include "plugins/device/cuda/grouped/grouped_pipeline.cuh"

// Who works on which unit. Clusters claim units from a counter, so that one that starts late, because an
// exchange holds its multiprocessors, leaves its work to the others. One thread of a cluster claims; both
// blocks read the numbers from slots in their shared memory, which are used in turn.
namespace caravan::cuda {

/// The slot of the n-th unit of a cluster, and the parity of the phase in which it is handed out.
struct Slot {
  int index;
  unsigned parity;
  __device__ explicit Slot(unsigned n) : index(n % kClaims), parity(n / kClaims % 2) {}
};

/// The n-th unit of this cluster. By one thread, or with kWarp by a whole warp; each reads every number once.
template <bool kWarp, class R>
__device__ int unit_of(const Ring<R>& ring, unsigned n) {
  const Slot slot(n);
  hopper::wait(ring.handed(slot.index), slot.parity);
  const int unit = hopper::load_shared(ring.unit(slot.index));
  if constexpr (kWarp) __syncwarp();
  if (threadIdx.x % 32 == 0) hopper::arrive_at(ring.taken(slot.index), 0);
  return unit;
}

/// By the thread that loads, in each block of a cluster; the first block's claims for all.
template <class R>
class Claims {
 public:
  /// `first`: what the first block has claimed. Hands it out.
  __device__ Claims(const GroupedCall& call, const Ring<R>& ring, int first)
      : call_(call), ring_(ring), unit_(first) {
    hand_out();
  }
  /// By the first block; 0 in the others.
  __device__ static int claim(const GroupedCall& call) {
    return R::rank() == 0 ? static_cast<int>(atomicAdd(call.claimed, 1u)) : 0;
  }

  /// The next one; the answer comes while the tile before is loaded.
  __device__ void ask() { unit_ = claim(call_); }
  /// What was asked for, to all blocks of the cluster.
  __device__ void hand_out() {
    const Slot slot(handed_++);
    hopper::arrive_expecting(ring_.handed(slot.index), sizeof(int));
    if (R::rank() != 0) return;
    hopper::wait(ring_.taken(slot.index), slot.parity ^ 1);
    for (unsigned block = 0; block < R::kCluster; ++block)
      hopper::store_at(ring_.unit(slot.index), unit_, ring_.handed(slot.index), block);
  }
  /// Of `units` in all, none was left: every cluster claims until then, so the highest number is the last
  /// claim of the launch, and whoever has it sets the counter back.
  __device__ void end(int units) const {
    if (R::rank() == 0 && unit_ == units + static_cast<int>(gridDim.x) / R::kCluster - 1) *call_.claimed = 0;
  }

 private:
  const GroupedCall& call_;
  const Ring<R>& ring_;
  int unit_;
  unsigned handed_ = 0;
};

/// One thread: keeps the ring full.
template <class R>
__device__ void produce(const GroupedMaps& maps, const GroupedCall& call, const Ring<R>& ring, int first) {
  Claims<R> claims(call, ring, first);
  typename R::Walk walk = R::walk(call);
  Tile tile;
  Position<R> at;
  for (unsigned n = 0; walk.seek(unit_of<false>(ring, n), tile); ++n) {
    claims.ask();
    walk.place(tile);
    load_tile(maps, tile, R::stages(call, tile), ring, at);
    claims.hand_out();
  }
  claims.end(walk.units());
}

}  // namespace caravan::cuda
