#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "plugins/device/cuda/decoding/cached_rows.cuh"

// Two ways to attend to pages, which share the rows of a step: a row that stands among enough others of its
// sequence goes with them as a tile of the tensor cores, any other one reads its keys alone.
namespace caravan::cuda {

class Context;

struct PagedArgs {
  DType dtype = DType::f32;
  const void *q = nullptr, *keys = nullptr, *values = nullptr;
  void* out = nullptr;
  std::int64_t q_row = 0, q_head = 0, out_row = 0, out_head = 0;  ///< elements
  CachedRows rows{};
  int heads = 0, queries = 0;  ///< of all; of each key/value head
  int chunk = 0;
  float scale = 1;
  bool wide = false;   ///< 16 bytes of every head are read at once
  bool tiles = false;  ///< rows among kTileRuns or more of their tile are left to paged_tiles()
};

inline constexpr int kMostWidth = 256;  ///< of a head

/// Rows of a tile, and how many of one slot must be among them.
inline constexpr int kTileRows = 128, kTileRuns = 8;

/// Which rows paged_tiles() takes; paged_rows() takes all.
bool serves_tiles(const PagedArgs& args);
void paged_rows(const PagedArgs& args, cudaStream_t stream);
void paged_tiles(const PagedArgs& args, Context& context);

}  // namespace caravan::cuda
