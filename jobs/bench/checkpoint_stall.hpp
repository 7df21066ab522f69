#pragma once

#include <string>

#include "caravan/comm.hpp"
#include "jobs/bench/synthetic_training.hpp"

namespace caravan::jobs {

struct StallBenchmark {
  SyntheticJob job;
  std::string folder;  ///< a subfolder is made and removed
  int every = 20;      ///< steps between checkpoints
  int rounds = 5;      ///< of so many steps, each once without and once with a checkpoint
};

/// Medians over the rounds, in seconds.
struct StallTiming {
  double plain_s = 0;  ///< of `every` steps without a checkpoint
  double saved_s = 0;  ///< the same with one that begins before them
  double copy_s = 0;   ///< of these, until training went on
};

/// [collective] What saving beside training costs. Rounds alternate, so that a busy machine disturbs both.
StallTiming time_stall(const StallBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
