#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// Expert biases, sizes of experts and, where the run's metrics have them, tokens an expert.
Report experts_view(const Subject& subject, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
