#include <unordered_map>

#include "core/plan/for_each_action.hpp"
#include "core/plan/passes.hpp"

namespace caravan {
namespace {

/// Number of the step in which each stage of a row ends its gradients; none for those that the schedule
/// reduces itself.
std::unordered_map<int, std::size_t> ends_of_gradients(const std::vector<Step>& row) {
  std::unordered_map<int, std::size_t> ends;
  for (std::size_t i = 0; i < row.size(); ++i) {
    for_each_action(row[i], [&](const Action& action) {
      if (action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight)
        ends[action.stage] = i;
    });
  }
  for (const Step& step : row) {
    if (step.action.kind == ActionKind::reduce_gradients) ends.erase(step.action.stage);
  }
  return ends;
}

std::vector<Step> placed_row(const std::vector<Step>& row) {
  const auto ends = ends_of_gradients(row);
  std::vector<Step> placed;
  placed.reserve(row.size() + ends.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    placed.push_back(row[i]);
    int last = -1;
    for_each_action(row[i], [&](const Action& action) {
      const auto end = ends.find(action.stage);
      if (end == ends.end() || end->second != i || action.stage == last) return;
      placed.push_back({{action.stage, ActionKind::reduce_gradients, kNoMicrobatch}, {}});
      last = action.stage;
    });
  }
  return placed;
}

}  // namespace

Plan place_reduction(const Plan& plan) {
  Plan placed;
  for (const std::vector<Step>& row : plan.steps) placed.steps.push_back(placed_row(row));
  return placed;
}

}  // namespace caravan
