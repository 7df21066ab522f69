#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace caravan::jobs {

/// NaN and infinities among numbers.
struct NotFinite {
  std::size_t count = 0;  ///< how many
  std::size_t first = 0;  ///< index of the first
  float value = 0;        ///< the first
};
/// Nothing where all are finite.
std::optional<NotFinite> find_not_finite(std::span<const float> values);
/// "NaN", "infinity" or "-infinity": what the first is.
std::string_view name_of(const NotFinite& found);

}  // namespace caravan::jobs
