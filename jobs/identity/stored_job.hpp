#pragma once

#include <string>

#include "caravan/registry.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// The job that a checkpoint carries as a tree to compare with `now`: keys that later versions added count as
/// their defaults, as far as both name the same components. Outside input: nothing of it is opened or run.
/// ConfigError when it is no job.
Config stored_job(const std::string& yaml, const Job& now, Registry& registry);

}  // namespace caravan::jobs
