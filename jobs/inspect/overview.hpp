#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// What it is, its tree, and its parameters by kind.
Report overview(const Subject& subject, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
