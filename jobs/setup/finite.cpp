#include "jobs/setup/finite.hpp"

#include <algorithm>
#include <cmath>

namespace caravan::jobs {

std::optional<NotFinite> find_not_finite(std::span<const float> values) {
  const auto is_bad = [](float value) { return !std::isfinite(value); };
  const auto first = std::find_if(values.begin(), values.end(), is_bad);
  if (first == values.end()) return std::nullopt;
  return NotFinite{static_cast<std::size_t>(std::count_if(first, values.end(), is_bad)),
                   static_cast<std::size_t>(first - values.begin()), *first};
}

std::string_view name_of(const NotFinite& found) {
  if (std::isnan(found.value)) return "NaN";
  return found.value < 0 ? "-infinity" : "infinity";
}

}  // namespace caravan::jobs
