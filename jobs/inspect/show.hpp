#pragma once

#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// The values of `tensor` of the options, a line for each last axis. ConfigError above 10,000 elements.
Report show_view(const Subject& subject, const InspectOptions& options);

}  // namespace caravan::jobs
