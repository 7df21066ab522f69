#include "core/run/cache_slots.hpp"

#include <algorithm>

namespace caravan {
namespace {

std::int64_t whole_pages(std::int64_t positions, std::int64_t page) {
  return (positions + page - 1) / page;
}

}  // namespace

PageNeed pages_for(std::int64_t positions, std::int64_t page, std::int64_t chunk) {
  return {whole_pages(positions, page), chunk > 0 ? whole_pages(std::min(positions, chunk), page) : 0};
}

CacheShape cache_for(std::int64_t slots, std::int64_t positions, std::int64_t page, std::int64_t chunk) {
  const PageNeed need = pages_for(positions, page, chunk);
  return {slots, positions, page, slots * need.pages, slots * need.chunk_pages};
}

CacheSlots::CacheSlots(const CacheShape& shape, std::int64_t chunk)
    : shape_(shape),
      chunk_(chunk),
      slots_(shape.slots),
      pages_(shape.pages),
      chunk_pages_(shape.chunk_pages) {}

bool CacheSlots::could_hold(std::int64_t positions) const {
  const PageNeed need = pages_for(positions, shape_.page, chunk_);
  return positions <= shape_.positions && need.pages <= pages_.size() &&
         need.chunk_pages <= chunk_pages_.size();
}

bool CacheSlots::has_room(std::int64_t positions) const {
  const PageNeed need = pages_for(positions, shape_.page, chunk_);
  return slots_.free() > 0 && need.pages <= pages_.free() && need.chunk_pages <= chunk_pages_.free();
}

std::optional<CacheSlots::Slot> CacheSlots::take(std::int64_t positions) {
  if (!has_room(positions)) return std::nullopt;
  const PageNeed need = pages_for(positions, shape_.page, chunk_);
  return Slot{slots_.take(1).front(), pages_.take(need.pages), chunk_pages_.take(need.chunk_pages)};
}

void CacheSlots::give_back(const Slot& slot) {
  const std::int32_t number = slot.slot;
  slots_.give_back({&number, 1});
  pages_.give_back(slot.pages);
  chunk_pages_.give_back(slot.chunk_pages);
}

}  // namespace caravan
