#include <fmt/format.h>

#include "caravan/ops/decoding.hpp"

namespace caravan {

std::string problem_with(const CacheRows& rows, const PagedKeys& cache) {
  const std::int64_t slots = rows.pages.extent(0), columns = rows.pages.extent(1),
                     page = cache.keys.extent(1);
  if (page <= 0) return fmt::format("pages of {} positions (there must be some)", page);
  for (std::int64_t t = 0; t < rows.slots.extent(0); ++t) {
    const std::int32_t slot = rows.slots.as<std::int32_t>()[t],
                       position = rows.positions.as<std::int32_t>()[t];
    if (slot < 0) continue;
    if (slot >= slots) return fmt::format("slots[{}] is {} (there are {})", t, slot, slots);
    const std::int64_t column = position < 0 ? columns : place_of(position, rows.ring, page).column;
    if (column >= columns)
      return fmt::format("positions[{}] is {} (a slot has {} pages of {})", t, position, columns, page);
    const std::int32_t at = rows.pages.as<std::int32_t>()[slot * rows.pages.stride(0) + column];
    if (at < 0 || at >= cache.keys.extent(0))
      return fmt::format("pages[{}, {}] is {} (there are {})", slot, column, at, cache.keys.extent(0));
  }
  return {};
}

}  // namespace caravan
