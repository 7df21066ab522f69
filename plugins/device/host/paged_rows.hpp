#pragma once

#include "caravan/ops/decoding.hpp"
#include "view.hpp"

namespace caravan::host {

/// The checked rows of a decode step, and where their positions stand in the cache.
class PagedRows {
 public:
  PagedRows(const Call& call, const CacheRows& rows, const PagedKeys& cache, std::int64_t tokens);

  void check_heads(const Call& call, std::int64_t kv_heads, std::int64_t width) const;
  std::int64_t kv_heads() const { return kv_heads_; }
  bool is_padding(std::int64_t t) const { return slots_[t] < 0; }
  std::int32_t slot(std::int64_t t) const { return slots_[t]; }
  std::int64_t position(std::int64_t t) const { return positions_[t]; }
  /// [G, D] of a position of row t's slot.
  float* key(std::int64_t t, std::int64_t position) const { return keys_ + offset(t, position); }
  float* value(std::int64_t t, std::int64_t position) const { return values_ + offset(t, position); }

  const float* keys() const { return keys_; }
  const float* values() const { return values_; }
  /// Where positions [first, last] of row t's slot are behind keys() and values().
  void find(std::int64_t t, std::int64_t first, std::int64_t last, std::int64_t* offsets) const;

 private:
  std::int64_t offset(std::int64_t t, std::int64_t position) const {
    const CachePlace at = place_of(position, ring_, page_);
    return (pages_.row(slots_[t])[at.column] * page_ + at.place) * kv_heads_ * width_;
  }

  float *keys_, *values_;
  std::int32_t *slots_, *positions_;
  Rows<std::int32_t> pages_;
  std::int64_t page_, kv_heads_, width_, ring_;
};

}  // namespace caravan::host
