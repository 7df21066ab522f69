#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// Opens what the options name and gives the view that they ask for. ConfigError for options that do not fit
/// the view.
Report inspect(const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
