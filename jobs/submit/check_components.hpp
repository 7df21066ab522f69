#pragma once

#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// The keys of a job's model, data, optimizer and schedule are those that the plugins know, without creating
/// any. ConfigError with file and line; PluginError for a name that no plugin has.
void check_components(const Job& job);

}  // namespace caravan::jobs
