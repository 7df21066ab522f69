#pragma once

#include <string>

#include "core/plan/simulate.hpp"
#include "jobs/schedule/caption.hpp"

namespace caravan::jobs {

/// A picture of a simulated or measured step: a row a rank, time to the right. Steps without duration are
/// left out. ConfigError when there are more steps than a picture can hold (100,000).
std::string draw_svg(const Plan& plan, const Timeline& timeline, const Caption& caption);

}  // namespace caravan::jobs
