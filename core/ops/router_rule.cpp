#include <fmt/format.h>

#include "caravan/ops/routing.hpp"

namespace caravan {

std::string problem_with(const LimitChoices& args) {
  if (args.capacity < 1 || args.sequence_length < 1)
    return fmt::format("capacity {} of sequences of {} tokens", args.capacity, args.sequence_length);
  const std::int64_t tokens = args.row_of.extent(0), all = args.choices.extent(0);
  if (tokens == 0) return {};
  const std::int64_t begin = args.rows.token(0), end = args.rows.token(tokens - 1) + 1;
  return begin < 0 || end > all ? fmt::format("tokens [{}, {}) of {}", begin, end, all) : "";
}

std::string problem_with(const RouterRule& rule, std::int64_t experts) {
  std::int64_t candidates = experts;
  if (rule.groups > 0) {
    if (experts % rule.groups != 0 || rule.limited_groups < 1 || rule.limited_groups > rule.groups) {
      return fmt::format("{} of {} groups of {} experts (groups must divide the experts, at least one stays)",
                         rule.limited_groups, rule.groups, experts);
    }
    candidates = experts / rule.groups * rule.limited_groups;
  }
  if (rule.top_k < 1 || rule.top_k > candidates)
    return fmt::format("top_k {} of {} eligible experts", rule.top_k, candidates);
  return {};
}

}  // namespace caravan
