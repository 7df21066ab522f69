#pragma once

#include <vector>

#include "core/plan/places.hpp"
#include "core/plan/recompute.hpp"

namespace caravan {

/// What one rank needs of a plan to run it.
struct RankPlan {
  std::vector<Step> row;  ///< lowered: with sends, receives, recomputation, reduction
  Placement placement;
  int microbatches = 0;
  std::vector<StagePlaces> places;         ///< one for each stage of this rank, ascending
  std::vector<RecomputePlan> recompute{};  ///< the same, or empty: no layer is repeated

  const std::vector<int>& stages(int rank) const {
    return placement.stages_of[static_cast<std::size_t>(rank)];
  }
};

/// What F keeps of a stage until its backward. Layers may repeat besides: see RecomputePlan.
enum class Recomputation {
  none,
  stage,  ///< its input alone: R repeats F before the backward. The last stage's F waits for its R: nobody
          ///< reads it
};

/// Whether a plan says when the weights of stages are gathered.
enum class Unsharding {
  none,
  once,  ///< UNSHARD before a stage's first use, RESHARD after everything
};

/// Checks a schedule's plan, adds what it leaves to core, and picks the row of `rank`. ConfigError as
/// check().
RankPlan lower(const Plan& compute, int microbatches, int rank, Recomputation recomputation,
               Unsharding unsharding = Unsharding::none);

/// Forwards alone, on the same placement: groups of as many micro-batches as there are ranks go through all
/// stages.
RankPlan lower_evaluation(const Placement& placement, int microbatches, int rank,
                          Unsharding unsharding = Unsharding::none);

}  // namespace caravan
