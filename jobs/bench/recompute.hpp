#pragma once

#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "jobs/bench/synthetic_training.hpp"

namespace caravan::jobs {

/// The same training steps under several rules of recomputation.
struct RecomputeBenchmark {
  SyntheticJob job;
  std::vector<std::string> modes;  ///< as recompute_yaml() takes them
  int warmup = 2, repeats = 7;     ///< repeats 0: memory alone, nothing runs
};

struct RecomputeTiming {
  std::string mode;
  ActivationBytes bytes;  ///< of rank 0
  double median_s = 0;    ///< of a step; 0: nothing ran
  double loss = 0;        ///< of the last step
};

/// [collective] One after the other, each with memory of its own.
std::vector<RecomputeTiming> time_recomputation(const RecomputeBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
