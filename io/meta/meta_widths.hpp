#pragma once

#include <cstdint>
#include <optional>

namespace caravan::io {

/// 0: no layer has one.
struct MetaWidths {
  std::int64_t dense = 0, expert = 0;
  bool operator==(const MetaWidths&) const = default;
};

/// The keys of params.json from which Meta's code computes widths, beside auto_scale_F and a capacity_factor
/// of 1.
struct MetaWidthRule {
  double ffn_exp = 4, ffn_dim_multiplier = 1;
  std::int64_t multiple_of = 1;
};

/// What Meta's code makes of the keys.
MetaWidths widths_by(const MetaWidthRule& rule, std::int64_t dim);

/// Keys that give these widths; nothing where none were found.
std::optional<MetaWidthRule> rule_of_widths(const MetaWidths& widths, std::int64_t dim);

}  // namespace caravan::io
