#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "caravan/layer.hpp"
#include "core/run/page_pool.hpp"

namespace caravan {

/// Pages that a sequence of `positions` needs in each kind of layer.
struct PageNeed {
  std::int64_t pages = 0, chunk_pages = 0;
};
/// `chunk`: of the layers that see chunks, which keep one; 0: there are none.
PageNeed pages_for(std::int64_t positions, std::int64_t page, std::int64_t chunk);

/// A cache for `slots` sequences at a time of at most `positions` each, with room for all of them at their
/// longest.
CacheShape cache_for(std::int64_t slots, std::int64_t positions, std::int64_t page, std::int64_t chunk);

/// Which sequence has which slot and pages. A sequence takes at its start all that it can come to need, so
/// that none is ever driven out for another.
class CacheSlots {
 public:
  struct Slot {
    int slot = 0;
    std::vector<std::int32_t> pages, chunk_pages;
  };
  CacheSlots(const CacheShape& shape, std::int64_t chunk);

  /// A sequence of so many positions finds room once all others are gone.
  bool could_hold(std::int64_t positions) const;
  /// Nothing where no slot, or not enough pages, are free.
  std::optional<Slot> take(std::int64_t positions);
  bool has_room(std::int64_t positions) const;
  void give_back(const Slot& slot);
  std::int64_t free_slots() const noexcept { return slots_.free(); }

 private:
  CacheShape shape_;
  std::int64_t chunk_;
  PagePool slots_, pages_, chunk_pages_;
};

}  // namespace caravan
