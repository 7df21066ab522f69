#pragma once

#include <string>

#include "jobs/compare_runs/parting.hpp"
#include "jobs/inspect/report.hpp"

namespace caravan::jobs {

struct CompareRunsOptions {
  std::string a, b;         ///< folders of runs, or files such as their metrics.jsonl
  double tolerance = 1e-5;  ///< the largest relative difference of two losses that passes
  StepRange range;
};

/// What differs in the jobs of two runs, and where their curves part. Exit code 0 where loss and validation
/// loss stay within the tolerance, 1 beyond it. IoError for what is no run, and for runs without a loss of
/// the same step.
Report compare_runs(const CompareRunsOptions& options);

}  // namespace caravan::jobs
