#pragma once

#include "plugins/device/cuda/decoding/paged_attention.hpp"
#include "plugins/device/cuda/kernels/hopper.cuh"
#include "plugins/device/cuda/kernels/vec.cuh"

// What lies in shared memory while neighbouring rows of a sequence attend to its pages: the queries of a tile
// of rows, and two tiles of keys and values that one warp has the copy engine fill. All of it in rows of 64
// elements, swizzled, as the tensor cores read it; heads that are narrower have zeros behind.
namespace caravan::cuda {

inline constexpr int kRowGroups = kTileRows / 64;  ///< warpgroups that multiply
inline constexpr int kTileKeys = 128;
inline constexpr int kStages = 2;
inline constexpr int kBoxKeys = 16;  ///< neighbours in the cache that are fetched together
inline constexpr int kLineBytes = 128, kSlabBytes = 64 * kLineBytes;

/// What the copy engine knows of queries, keys and values.
struct PromptMaps {
  CUtensorMap q, keys, values;
};

/// Rows [first, end) of the step, one slot's, and the keys [first_key, keys_end) that they see.
struct RowRun {
  int first, end, slot;
  std::int32_t first_key;
  std::int64_t keys_end;

  __device__ int tiles() const {
    return static_cast<int>((keys_end - first_key + kTileKeys - 1) / kTileKeys);
  }
  __device__ std::int64_t tile_key(int tile) const { return first_key + std::int64_t{tile} * kTileKeys; }
};

/// The rows of a block's tile, and where runs of one slot begin in it.
class TileRuns {
 public:
  /// All threads of a block.
  __device__ TileRuns(const PagedArgs& args, int tile, unsigned (&begins)[kTileRows / 32])
      : args_(args), tile_(tile), rows_(min(kTileRows, args.rows.rows - tile)), begins_(begins) {
    const int own = static_cast<int>(threadIdx.x);
    if (own < kTileRows) {
      const bool begins_run =
          own < rows_ && (own == 0 || args.rows.slots[tile + own] != args.rows.slots[tile + own - 1]);
      const unsigned mask = __ballot_sync(kWholeWarp, begins_run);
      if (own % 32 == 0) begins[own / 32] = mask;
    }
    __syncthreads();
  }

  /// each(run) for those that go together.
  template <class Each>
  __device__ void for_each(const Each& each) const {
    for (int first = 0; first < rows_;) {
      const int end = end_of(first);
      if (end - first >= kTileRuns && !args_.rows.is_padding(tile_ + first)) each(run(first, end));
      first = end;
    }
  }
  __device__ bool has_any() const {
    bool any = false;
    for_each([&](const RowRun&) { any = true; });
    return any;
  }

 private:
  __device__ int end_of(int first) const {
    for (int word = (first + 1) / 32; word < kTileRows / 32; ++word) {
      const unsigned later = word == (first + 1) / 32 ? ~0u << (first + 1) % 32 : ~0u;
      if (const unsigned left = begins_[word] & later) return word * 32 + __ffs(static_cast<int>(left)) - 1;
    }
    return rows_;
  }
  __device__ RowRun run(int first, int end) const {
    RowRun run{tile_ + first, tile_ + end, args_.rows.slots[tile_ + first], 0, 0};
    const std::int32_t position = args_.rows.positions[run.first];
    if (args_.chunk > 0) run.first_key = position / args_.chunk * args_.chunk;
    run.keys_end = args_.rows.positions[run.end - 1] + std::int64_t{1};
    return run;
  }

  const PagedArgs& args_;
  int tile_, rows_;
  const unsigned (&begins_)[kTileRows / 32];
};

/// Addresses in shared memory, for heads of up to 64 · kSlabs.
template <int kSlabs>
class PromptMemory {
 public:
  static constexpr int kQueryBytes = kRowGroups * kSlabs * kSlabBytes;
  static constexpr int kKeyBytes = kTileKeys * kSlabs * kLineBytes;  ///< of a tile, and of its values
  static constexpr int kBarriers = 1 + 4 * kStages;
  static constexpr int kBytes = 1024 + kQueryBytes + 2 * kStages * kKeyBytes + 8 * kBarriers;

  __device__ explicit PromptMemory(const void* shared)
      : base_((hopper::shared_address(shared) + 1023) & ~1023u) {}

  /// Of 64 rows: slabs of 64 columns, a line a row.
  __device__ std::uint32_t queries(int group) const { return base_ + group * kSlabs * kSlabBytes; }
  /// Slabs of 64 columns, a line a key.
  __device__ std::uint32_t keys(int stage) const { return base_ + kQueryBytes + stage * kKeyBytes; }
  /// For each 64 keys slabs of 64 columns, a line a key.
  __device__ std::uint32_t values(int stage) const { return keys(kStages + stage); }

  __device__ std::uint32_t queries_full() const { return keys(2 * kStages); }
  __device__ std::uint32_t keys_full(int stage) const { return queries_full() + 8 * (1 + stage); }
  __device__ std::uint32_t values_full(int stage) const { return keys_full(kStages + stage); }
  __device__ std::uint32_t keys_free(int stage) const { return keys_full(2 * kStages + stage); }
  __device__ std::uint32_t values_free(int stage) const { return keys_full(3 * kStages + stage); }

  /// One thread.
  __device__ void init_barriers() const {
    hopper::init_barrier(queries_full(), 1);
    for (int stage = 0; stage < kStages; ++stage) {
      hopper::init_barrier(keys_full(stage), 1);
      hopper::init_barrier(values_full(stage), 1);
      hopper::init_barrier(keys_free(stage), 4 * kRowGroups);
      hopper::init_barrier(values_free(stage), 4 * kRowGroups);
    }
    hopper::fence_barrier_init();
  }

 private:
  std::uint32_t base_;
};

/// Which stage the tile of a number has, and the parity of its being full.
struct StageOf {
  int stage;
  unsigned parity;
  __device__ explicit StageOf(unsigned tile)
      : stage(static_cast<int>(tile % kStages)), parity(tile / kStages % 2) {}
};

/// The queries of a tile of rows. One lane.
template <int kSlabs>
__device__ void fetch_queries(const PromptMaps& maps, const PromptMemory<kSlabs>& memory, int tile,
                              int head) {
  hopper::arrive_expecting(memory.queries_full(), PromptMemory<kSlabs>::kQueryBytes);
  for (int group = 0; group < kRowGroups; ++group) {
    for (int slab = 0; slab < kSlabs; ++slab) {
      hopper::load_box<1>(memory.queries(group) + slab * kSlabBytes, maps.q,
                          {64 * slab, tile + 64 * group, head}, memory.queries_full());
    }
  }
}

/// The keys and values of a run, tile for tile, `fetched` tiles having been fetched before. One warp: every
/// lane has a box of keys and a box of values.
template <int kSlabs>
__device__ void fetch_run(const PagedArgs& args, const PromptMaps& maps, const PromptMemory<kSlabs>& memory,
                          const RowRun& run, int head, unsigned& fetched) {
  constexpr int kBoxes = kTileKeys / kBoxKeys;
  constexpr unsigned kBytes = PromptMemory<kSlabs>::kKeyBytes;
  const int lane = static_cast<int>(threadIdx.x % kWarp), box = lane % kBoxes, slab = lane / kBoxes;
  const std::int64_t nowhere = std::int64_t{args.rows.cache_pages} * args.rows.page;
  for (int tile = 0; tile < run.tiles(); ++tile, ++fetched) {
    const std::int64_t key = run.tile_key(tile) + box * kBoxKeys;
    std::int64_t place = key < run.keys_end ? args.rows.place(run.slot, static_cast<std::int32_t>(key)) : -1;
    place = place < 0 ? nowhere : place / args.rows.kv_heads;
    const hopper::Box at{64 * slab, static_cast<int>(place), head};
    const StageOf to(fetched);
    const auto fetch = [&](std::uint32_t full, std::uint32_t free, const CUtensorMap& map,
                           std::uint32_t address) {
      hopper::wait(free, to.parity ^ 1);
      if (lane == 0) hopper::arrive_expecting(full, kBytes);
      __syncwarp();
      if (slab < kSlabs) hopper::load_box<1>(address, map, at, full);
    };
    const int first = box * kBoxKeys;
    fetch(memory.keys_full(to.stage), memory.keys_free(to.stage), maps.keys,
          memory.keys(to.stage) + slab * (kTileKeys * kLineBytes) + first * kLineBytes);
    fetch(memory.values_full(to.stage), memory.values_free(to.stage), maps.values,
          memory.values(to.stage) + (first / 64 * kSlabs + slab) * kSlabBytes + first % 64 * kLineBytes);
  }
}

}  // namespace caravan::cuda
