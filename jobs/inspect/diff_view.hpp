#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// Compares two files: tensors that only one has, other shapes and types, elements that changed, values.
/// Exit code 0 when they are the same within the tolerance, 1 when not.
Report diff_view(const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
