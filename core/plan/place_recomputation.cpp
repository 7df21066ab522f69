#include <fmt/format.h>

#include "caravan/check.hpp"
#include "core/plan/for_each_action.hpp"
#include "core/plan/passes.hpp"
#include "core/plan/placement.hpp"

namespace caravan {
namespace {

bool begins_backward(const Action& action) {
  return action.kind == ActionKind::backward_input || action.kind == ActionKind::backward;
}

}  // namespace

Plan place_recomputation(const Plan& plan, const std::vector<bool>& stages) {
  const int count = placement_of(plan).stages();
  CARAVAN_CHECK(stages.size() == static_cast<std::size_t>(count), ConfigError,
                fmt::format("recomputation is said for {} stages (the plan has {})", stages.size(), count));
  std::vector<bool> recomputes = stages;
  for_each_action(plan, [&](int, std::size_t, const Action& action) {
    if (action.kind == ActionKind::recompute) recomputes.at(static_cast<std::size_t>(action.stage)) = false;
  });
  Plan placed;
  for (const std::vector<Step>& row : plan.steps) {
    std::vector<Step>& steps = placed.steps.emplace_back();
    for (const Step& step : row) {
      for_each_action(step, [&](const Action& action) {
        if (begins_backward(action) && recomputes.at(static_cast<std::size_t>(action.stage)))
          steps.push_back({{action.stage, ActionKind::recompute, action.microbatch}, {}});
      });
      steps.push_back(step);
    }
  }
  return placed;
}

}  // namespace caravan
