#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"
#include "jobs/inspect/subject.hpp"

namespace caravan::jobs {

/// Histograms of the chosen tensors, one below the other; as a picture, side by side. ConfigError when there
/// are more than 200 (a picture of more than 48) tensors.
Report histogram_view(const Subject& subject, const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
