#include "core/plan/passes.hpp"

namespace caravan {
namespace {

bool is_input_then_weight(const Step& first, const Step& second) {
  return !first.overlapped && !second.overlapped && first.action.kind == ActionKind::backward_input &&
         second.action.kind == ActionKind::backward_weight && first.action.stage == second.action.stage &&
         first.action.microbatch == second.action.microbatch;
}

}  // namespace

Plan merge_backward(Plan plan) {
  for (std::vector<Step>& row : plan.steps) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < row.size(); ++i, ++kept) {
      row[kept] = row[i];
      if (i + 1 == row.size() || !is_input_then_weight(row[i], row[i + 1])) continue;
      row[kept].action.kind = ActionKind::backward;
      ++i;
    }
    row.resize(kept);
  }
  return plan;
}

}  // namespace caravan
