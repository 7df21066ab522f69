#pragma once

#include "core/plan/simulate.hpp"

namespace caravan {

/// What each stage's F, I and W took in a measured step: medians over the micro-batches. A stage that has
/// only B gives half of it to I and W each; overlapped steps are not looked at. Communication and overlap are
/// 0. `timelines`: of one or more steps of the same plan.
SimulationCosts measured_costs(const Plan& plan, const std::vector<Timeline>& timelines);

}  // namespace caravan
