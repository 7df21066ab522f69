#include "core/plan/lower.hpp"

#include <algorithm>

#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"

namespace caravan {
namespace {

RankPlan row_of(Plan lowered, Placement placement, int microbatches, int rank) {
  RankPlan plan;
  plan.row = std::move(lowered.steps[static_cast<std::size_t>(rank)]);
  plan.placement = std::move(placement);
  plan.microbatches = microbatches;
  for (int stage : plan.stages(rank))
    plan.places.push_back(assign_places(plan.row, stage, microbatches, plan.placement));
  return plan;
}

Plan with_unshard(Plan plan, const Placement& placement, Unsharding unsharding) {
  return unsharding == Unsharding::none ? plan : place_unshard(plan, placement.stages());
}

}  // namespace

RankPlan lower(const Plan& compute, int microbatches, int rank, Recomputation recomputation,
               Unsharding unsharding) {
  Placement placement = check(compute, microbatches);
  const bool recomputes = recomputation == Recomputation::stage;
  Plan plan = recomputes ? place_recomputation(
                               compute, std::vector<bool>(static_cast<std::size_t>(placement.stages()), true))
                         : compute;
  plan = place_communication(place_reduction(with_unshard(std::move(plan), placement, unsharding)));
  return row_of(std::move(plan), std::move(placement), microbatches, rank);
}

RankPlan lower_evaluation(const Placement& placement, int microbatches, int rank, Unsharding unsharding) {
  const int ranks = static_cast<int>(placement.stages_of.size());
  Plan plan{std::vector<std::vector<Step>>(placement.stages_of.size())};
  for (int first = 0; first < microbatches; first += ranks) {
    const int end = std::min(first + ranks, microbatches);
    for (int stage = 0; stage < placement.stages(); ++stage) {
      auto& row = plan.steps[static_cast<std::size_t>(placement.rank_of[static_cast<std::size_t>(stage)])];
      for (int microbatch = first; microbatch < end; ++microbatch)
        row.push_back({{stage, ActionKind::forward, microbatch}, {}});
    }
  }
  plan = place_communication(with_unshard(std::move(plan), placement, unsharding));
  return row_of(std::move(plan), placement, microbatches, rank);
}

}  // namespace caravan
