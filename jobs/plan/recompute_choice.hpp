#pragma once

#include <string>
#include <vector>

#include "jobs/job/recompute_rule.hpp"
#include "jobs/plan/section_costs.hpp"

namespace caravan::jobs {

/// The stages of a rank, and what they run.
struct RankStages {
  ModelInstance& model;  ///< need not be allocated
  const RankPlan& plan;
  const BatchShape& shape;
};

/// What the layers of each stage of a rank repeat. `costs` is read for a budget only. ConfigError for a
/// section that no layer of `whole` has, and for a budget that is less than repeating everything takes.
std::vector<RecomputePlan> choose_recompute(const RecomputeRule& rule, const RankStages& stages,
                                            ModelInstance& whole, const SectionCosts* costs);

/// Layers with what they keep and what they repeat, and what the activations come to beside keeping all.
std::string describe_recompute(const RankStages& stages);

}  // namespace caravan::jobs
