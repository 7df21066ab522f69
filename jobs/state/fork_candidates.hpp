#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// The checkpoints of the run that the job branches off, newest first, unverified: those of the step that it
/// names, or all. ConfigError when that run is the job's own; IoError, with the steps that there are, when it
/// has none.
std::vector<std::string> fork_candidates(const Job& job);
/// ConfigError when a run that branches off at `step` would have nothing left to do.
void check_fork_goes_on(const Job& job, std::int64_t step);

}  // namespace caravan::jobs
