#pragma once

#include "jobs/compare/comparison.hpp"
#include "jobs/compare/options.hpp"
#include "jobs/drawing/terminal.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

/// What was compared, and how each side was run.
struct Compared {
  const CompareOptions& options;
  const Sequences& sequences;
  const Answers &a, &b;
  nlohmann::ordered_json how_a, how_b;  ///< of Side::how
};

/// Exit code 0 within the tolerances, 1 beyond one.
Report compare_report(const Compared& compared, const Comparison& comparison, Ink ink);

}  // namespace caravan::jobs
