#include <fmt/format.h>

#include "caravan/ops/routing.hpp"

namespace caravan {

std::string problem_with(const ExpertCapacity& capacity) {
  const bool fits = capacity.choices == 0 || (capacity.choices > 0 && capacity.sequence_length > 0);
  return fits ? ""
              : "capacity " + std::to_string(capacity.choices) + " of sequences of " +
                    std::to_string(capacity.sequence_length) + " tokens";
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
