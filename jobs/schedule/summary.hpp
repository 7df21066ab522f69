#pragma once

#include <string>

#include "core/plan/simulate.hpp"
#include "jobs/schedule/caption.hpp"

namespace caravan::jobs {

/// "7.7 %"
std::string percent_text(double share);
/// "9 9 8 7" for up to 16 ranks, else the most and the least with their ranks.
std::string peak_text(const std::vector<int>& peaks);

/// A few lines: placement, makespan, bubble, peak stashes.
std::string summary_text(const Plan& plan, const Timeline& timeline, const Caption& caption);
/// One JSON object with stable keys.
std::string summary_json(const Plan& plan, const Timeline& timeline, const Caption& caption);

}  // namespace caravan::jobs
