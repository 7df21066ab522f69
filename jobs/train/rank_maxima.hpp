#pragma once

#include <cstdint>

#include "core/run/train_step.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// What is reported of the rank where it is largest.
struct RankMaxima {
  std::int64_t peak_memory = 0;       ///< bytes, where tensors are
  std::int64_t host_peak_memory = 0;  ///< bytes of a process
  double expert_imbalance = 0;        ///< see metric::kExpertImbalance; 0: no experts
};

/// [every rank] Of the step whose result was taken last.
RankMaxima maxima_over_ranks(TrainSetup& setup, const TrainStep& step);

}  // namespace caravan::jobs
