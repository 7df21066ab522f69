#pragma once

#include <cstdint>

#include "caravan/ops/decoding.hpp"
#include "plugins/device/cuda/device/view.hpp"

// Where rows of decoding stand in the cache, in device code. What the host has not seen is looked at here: no
// number reaches outside the cache.
namespace caravan::cuda {

/// Checked views of CacheRows and PagedKeys.
struct CachedRows {
  const std::int32_t *slots, *positions, *pages;
  int ring;
  int rows, sequences, columns;  ///< of the table of pages: slots, and pages of each
  int cache_pages, page, kv_heads, width;

  __device__ bool is_padding(int row) const { return slots[row] < 0 || slots[row] >= sequences; }
  /// Of head 0 at a position of the row's slot, counted in heads; −1 where the table has none.
  __device__ std::int64_t place(int slot, std::int32_t position) const {
    const int q = ring > 0 ? position % ring : position, column = q / page;
    if (position < 0 || column >= columns) return -1;
    const std::int32_t at = pages[std::int64_t{slot} * columns + column];
    if (at < 0 || at >= cache_pages) return -1;
    return (std::int64_t{at} * page + (q - column * page)) * kv_heads;
  }
};

/// The cache is of `type`, contiguous, and of no more rows than a grid has blocks for.
CachedRows cached_rows(const Call& call, const CacheRows& rows, const PagedKeys& cache, DType type,
                       std::int64_t tokens);

}  // namespace caravan::cuda
