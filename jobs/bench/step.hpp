#pragma once

#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "jobs/bench/peak.hpp"
#include "jobs/bench/profile.hpp"
#include "jobs/bench/synthetic_training.hpp"

namespace caravan::jobs {

/// What to time: whole optimizer steps of a model on random tokens.
struct StepBenchmark {
  SyntheticJob job;
  int warmup = 2, repeats = 7;
  int profiled = 0;   ///< steps after the timed ones whose every kernel is recorded
  std::string trace;  ///< folder for what was recorded on each rank; empty: none
  std::string peer;   ///< file for what a peer needs to time the same step; empty: none
};

struct StepTiming {
  std::string device, precision;
  std::vector<std::string> devices;  ///< of all ranks, in order; on rank 0
  double median_s = 0, fastest_s = 0, slowest_s = 0;
  double step_flops =
      0;  ///< model FLOPs of all ranks: causal attention at half, active experts, no recomputation
  std::int64_t step_tokens = 0;  ///< of all ranks
  std::int64_t parameters = 0, sequence_length = 0;
  double datasheet_flops = 0;  ///< of one rank's device, see datasheet_rate()
  FmaPeak peak;                ///< of all ranks: multiply-adds of host cores, or matrix products of GPUs
  Profile profile;             ///< of rank 0's device, all profiled steps together
  std::vector<DeviceTimes> profiled_ranks;  ///< of all ranks; empty where nothing was profiled
  std::string peer_command;                 ///< on rank 0, where a file for it was asked for
};

/// [collective] Times steps with AdamW, clipping and gradient reduction; whole on rank 0.
StepTiming time_steps(const StepBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
