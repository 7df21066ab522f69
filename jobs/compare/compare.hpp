#pragma once

#include "caravan/comm.hpp"
#include "jobs/compare/options.hpp"
#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// [collective over world] Runs A, then B, on the same inputs, one model in memory at a time, and compares
/// their answers. The same report on every rank. IoError for sides that cannot be compared.
Report compare(const CompareOptions& options, Communicator& world, Ink ink);

}  // namespace caravan::jobs
