#pragma once

#include "caravan/schedule.hpp"

namespace caravan {

/// The one or two actions of a step, in its order.
template <typename Use>
void for_each_action(const Step& step, Use&& use) {
  use(step.action);
  if (step.overlapped) use(*step.overlapped);
}

/// Every action of a plan, with its rank and the number of its step, rank by rank.
template <typename Use>
void for_each_action(const Plan& plan, Use&& use) {
  for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
    const std::vector<Step>& row = plan.steps[rank];
    for (std::size_t i = 0; i < row.size(); ++i)
      for_each_action(row[i], [&](const Action& action) { use(static_cast<int>(rank), i, action); });
  }
}

}  // namespace caravan
