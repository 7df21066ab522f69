#pragma once

#include <string>
#include <vector>

#include "jobs/bench/synthetic_training.hpp"

namespace caravan::jobs {

/// Training steps of one model under one schedule on all ranks as a pipeline.
struct PipelineBenchmark {
  SyntheticJob job;
  std::string schedule;
  /// An embedding costs a stage nothing to speak of. A V has both ends on one rank, so a rule that counts the
  /// embedding as a layer would leave that rank with less work than the others.
  SplitRule split{0, 1, {}};
  int warmup = 1, repeats = 5;
};

/// Medians of the repeats. Walks: from the first action to the end of the last, without gradient norm and
/// update.
struct PipelineTiming {
  std::string schedule;
  int stages = 0;
  double step_s = 0;
  double walks_s = 0, simulated_s = 0;  ///< simulated with the stages' measured F, I and W
  double idle = 0, simulated_idle = 0;  ///< share of all ranks' time
  int peak_stashes = 0;                 ///< most of any rank
  std::size_t activation_bytes = 0;     ///< most of any rank
  double step_flops = 0;
  std::int64_t step_tokens = 0;
};

/// [collective] ConfigError when the schedule refuses the numbers. Whole on rank 0.
PipelineTiming time_pipeline(const PipelineBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
