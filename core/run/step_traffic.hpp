#pragma once

#include <map>
#include <vector>

#include "core/plan/lower.hpp"
#include "core/run/stage_walks.hpp"

namespace caravan {

/// How often each parameter group is gathered and its gradients summed in a step.
using StepTraffic = std::map<const ParameterGroup*, GroupTraffic>;

/// What a step over `plan` will do, found without doing it. `walks`: of this rank's stages, ascending, as
/// `stages` numbers them in the plan.
StepTraffic step_traffic(const RankPlan& plan, const std::vector<int>& stages, std::vector<StageWalks>& walks,
                         ShardedParameters& sharded);

}  // namespace caravan
