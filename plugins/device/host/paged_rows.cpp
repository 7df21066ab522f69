#include "paged_rows.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace caravan::host {

PagedRows::PagedRows(const Call& call, const CacheRows& rows, const PagedKeys& cache, std::int64_t tokens)
    : ring_(rows.ring) {
  call.check("keys", cache.keys, {DType::f32, 4, {kAny, kAny, kAny, kAny}});
  page_ = cache.keys.extent(1);
  kv_heads_ = cache.keys.extent(2);
  width_ = cache.keys.extent(3);
  call.check("values", cache.values, {DType::f32, 4, {cache.keys.extent(0), page_, kv_heads_, width_}});
  if (!cache.keys.contiguous() || !cache.values.contiguous())
    call.fail("keys and values of a cache (each must be contiguous)");
  keys_ = cache.keys.as<float>();
  values_ = cache.values.as<float>();
  slots_ = call.indices("slots", rows.slots, tokens);
  positions_ = call.indices("positions", rows.positions, tokens);
  pages_ = call.index_matrix("pages", rows.pages, kAny, kAny);
  if (const std::string problem = problem_with(rows, cache); !problem.empty()) call.fail(problem);
}

void PagedRows::check_heads(const Call& call, std::int64_t kv_heads, std::int64_t width) const {
  if (kv_heads_ != kv_heads || width_ != width)
    call.fail(
        fmt::format("a cache of {} heads of {} (the keys are {} of {})", kv_heads_, width_, kv_heads, width));
}

/// A page at a time: where a position is takes two divisions.
void PagedRows::find(std::int64_t t, std::int64_t first, std::int64_t last, std::int64_t* offsets) const {
  const std::int64_t width = kv_heads_ * width_;
  for (std::int64_t p = first; p <= last;) {
    const CachePlace at = place_of(p, ring_, page_);
    std::int64_t next = offset(t, p);
    const std::int64_t to_ring = ring_ > 0 ? ring_ - p % ring_ : page_;
    const std::int64_t end = std::min({last + 1, p + page_ - at.place, p + to_ring});
    for (; p < end; ++p, next += width) *offsets++ = next;
  }
}

}  // namespace caravan::host
