#pragma once

#include <string>
#include <vector>

#include "caravan/mesh.hpp"
#include "caravan/registry.hpp"
#include "core/plan/lower.hpp"
#include "core/run/shared_parameters.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/room_rule.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// What a job's pipeline comes to: the schedule's plan, checked and lowered for this rank.
struct PipelineSetup {
  Plan schedule;      ///< compute actions of all ranks, as the plugin gave them
  RankPlan training;  ///< this rank's
  RankPlan validation;
  std::optional<RoomRule> rooms;             ///< of parameters that ranks keep in stretches; none: whole
  Unsharding unsharding = Unsharding::none;  ///< of both plans
  std::vector<LayerRange> layers;            ///< of every stage
  std::vector<SharedParameter> shared;
};

/// What a plan is for.
struct PipelineNeeds {
  std::int64_t microbatches = 1;
  OptimizerDivision optimizer{};
};

/// `whole`: the model with all layers. ConfigError when the schedule refuses the numbers, its plan is wrong,
/// or the model has too few layers for the stages.
PipelineSetup plan_pipeline(Registry& registry, const Job& job, const Mesh& mesh, const PipelineNeeds& needs,
                            ModelInstance& whole);

}  // namespace caravan::jobs
