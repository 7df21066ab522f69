#pragma once

#include <string>
#include <vector>

#include "core/plan/simulate.hpp"
#include "jobs/schedule/caption.hpp"
#include "jobs/schedule/step_details.hpp"

namespace caravan::jobs {

/// A picture of a simulated or measured step: a row a rank, time to the right. Steps without duration are
/// left out. Below the row of a rank, its exchanges of parameter groups, where `details` has any: one entry a
/// rank, or none at all. ConfigError when there are more steps than a picture can hold (100,000).
std::string draw_svg(const Plan& plan, const Timeline& timeline, const Caption& caption,
                     const std::vector<StepDetails>& details = {});

}  // namespace caravan::jobs
