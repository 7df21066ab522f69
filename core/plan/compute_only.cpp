#include <algorithm>

#include "core/plan/passes.hpp"

namespace caravan {
namespace {

bool is_compute(const Step& step) {
  switch (step.action.kind) {
    case ActionKind::forward:
    case ActionKind::backward_input:
    case ActionKind::backward_weight:
    case ActionKind::backward:
      return true;
    default:
      return false;
  }
}

}  // namespace

Plan compute_only(Plan plan) {
  for (std::vector<Step>& row : plan.steps)
    row.erase(std::remove_if(row.begin(), row.end(), [](const Step& step) { return !is_compute(step); }),
              row.end());
  return plan;
}

}  // namespace caravan
