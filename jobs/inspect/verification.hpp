#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/options.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// Compares every byte of a checkpoint, or of all checkpoints of a run, with the digests of its manifest.
/// Names everything that is damaged; exit code 3 then.
Report verification(const InspectOptions& options, const TextStyle& style);

}  // namespace caravan::jobs
