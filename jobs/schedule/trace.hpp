#pragma once

#include <string>
#include <vector>

#include "core/plan/simulate.hpp"
#include "jobs/schedule/step_details.hpp"

namespace caravan::jobs {

/// Chrome's trace event format, which Perfetto reads too: a process a rank. The timeline's unit counts as a
/// second. Steps without duration become instants. `details`: one a rank, as rows "layers", "shard
/// lane", "expert lane" and "tensor lane" below the rank's actions; of exchanges that are under way at once
/// each has a row. None: actions alone.
std::string to_trace(const Plan& plan, const Timeline& timeline,
                     const std::vector<StepDetails>& details = {});

}  // namespace caravan::jobs
