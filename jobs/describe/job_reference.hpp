#pragma once

#include <string>

#include "caravan/registry.hpp"
#include "jobs/plugins/describe.hpp"

namespace caravan::jobs {

/// Every key of a job file: the sections, the maps within them, and (without `section`) the keys of every
/// model, data source, optimizer, schedule and dispatch that the registry finds. `section`: one of them, as
/// `train` or `checkpoint.from`; ConfigError with the nearest name when there is none. Keys of devices are
/// left out: which devices there are is the machine's.
std::string job_reference(Registry& registry, const std::string& section, DescribeStyle style);

}  // namespace caravan::jobs
