#pragma once

#include "jobs/drawing/terminal.hpp"
#include "jobs/evaluate/evaluation.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// Loss in nats a token, perplexity e^loss, and bits a byte: all nats by ln 2 and the bytes that the
/// predicted tokens stand for.
Report report_of(const EvaluateOptions& options, const Evaluation& found, Ink ink);

}  // namespace caravan::jobs
