#pragma once

#include <span>
#include <vector>

#include "core/plan/placement.hpp"

namespace caravan {

/// Time of each action on one stage; B costs I + W, R costs F.
struct StageCosts {
  double forward = 1, backward_input = 1, backward_weight = 1;
};

struct SimulationCosts {
  std::vector<StageCosts> stages;  ///< one a stage, or one for all
  double communication = 0;        ///< between ranks, from the end of an action to when its result is there
  /// Share of the shorter of an overlapped pair that is hidden: 0: one after the other, 1: the longer alone.
  double overlap = 0;
};

struct Span {
  double begin = 0, end = 0;
};

/// When every step of every rank runs, and what follows from it.
struct Timeline {
  std::vector<std::vector<Span>> spans;  ///< [rank][step], parallel to the plan's steps
  double makespan = 0;                   ///< from 0 to the last end
  /// Time without work of a rank, from 0 to the makespan.
  double idle(int rank) const;
  /// Idle share of all ranks' time together.
  double bubble() const;
};

/// Runs every step as early as order and data allow. Sends and receives in the plan take no time of the rank
/// (communication is a delay); REDUCE_GRAD, UNSHARD, RESHARD take none.
Timeline simulate(const Plan& plan, const SimulationCosts& costs);

/// Most micro-batches kept at once on a rank, counting one for each stage and micro-batch from its F to the
/// end of its B or W.
std::vector<int> peak_stashes(const Plan& plan);

}  // namespace caravan
