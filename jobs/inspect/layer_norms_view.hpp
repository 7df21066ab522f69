#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// L2 norms by layer and kind of parameter, as a table with bars and as curves.
Report layer_norms_view(const Subject& subject, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
