#include "io/meta/meta_widths.hpp"

#include <cmath>
#include <numeric>

namespace caravan::io {
namespace {

std::int64_t whole(double value) {
  return static_cast<std::int64_t>(value);
}

/// Of the three matrices of a gated layer, as much as two of a plain one of `hidden`.
std::int64_t gated(std::int64_t hidden) {
  return whole(2.0 * static_cast<double>(hidden) / 3.0);
}

std::int64_t rounded_up(std::int64_t width, std::int64_t multiple) {
  return (width + multiple - 1) / multiple * multiple;
}

bool gives(const MetaWidthRule& rule, std::int64_t dim, const MetaWidths& wanted) {
  const MetaWidths made = widths_by(rule, dim);
  return (wanted.dense == 0 || made.dense == wanted.dense) &&
         (wanted.expert == 0 || made.expert == wanted.expert);
}

}  // namespace

MetaWidths widths_by(const MetaWidthRule& rule, std::int64_t dim) {
  const auto scaled = [&](std::int64_t width) {
    return whole(rule.ffn_dim_multiplier * static_cast<double>(width));
  };
  const std::int64_t expert = gated(whole(rule.ffn_exp * static_cast<double>(dim)));
  return {rounded_up(scaled(gated(4 * dim)), rule.multiple_of),
          rounded_up(scaled(expert) / 2, rule.multiple_of)};  // an expert and the shared one
}

/// Everything within a multiple is rounded up to it, so the middle of the last one is aimed at.
std::optional<MetaWidthRule> rule_of_widths(const MetaWidths& widths, std::int64_t dim) {
  const std::int64_t dense = widths.dense > 0 ? widths.dense : 2 * widths.expert,
                     expert = widths.expert > 0 ? widths.expert : dense, base = gated(4 * dim);
  if (dense == 0 || base == 0) return std::nullopt;
  MetaWidthRule rule;
  rule.multiple_of = std::gcd(dense, expert);
  const double below = static_cast<double>(rule.multiple_of - 1) / 2;
  rule.ffn_dim_multiplier = (static_cast<double>(dense) - below) / static_cast<double>(base);
  if (gives(rule, dim, widths)) return rule;
  const double gated_width = std::round(2 * (static_cast<double>(expert) - below) / rule.ffn_dim_multiplier);
  rule.ffn_exp =
      (std::ceil(1.5 * gated_width) + 0.5) / static_cast<double>(dim);  // both are cut to whole numbers
  return gives(rule, dim, widths) ? std::optional(rule) : std::nullopt;
}

}  // namespace caravan::io
