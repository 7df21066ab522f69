#pragma once

#include <algorithm>
#include <string>

#include "caravan/schedule_rows.hpp"

namespace caravan {

/// In which order the interleaved schedules visit the stages of a rank (rank, rank + P, …): `round`
/// micro-batches on one stage, then as many on the next, back at the first for the next round. The rounds
/// have equal length, P micro-batches when P divides M. Narayanan et al. 2021; lengths other than P after
/// PyTorch.
class InterleavedOrder {
 public:
  /// ConfigError when the micro-batches do not split into max(1, ⌊M/P⌋) equal rounds.
  InterleavedOrder(const PlanRequest& request, const std::string& name)
      : ranks_(request.ranks), stages_per_rank_(request.stages_per_rank) {
    check_request(request, kSeveralStages, name);
    const int rounds = rounds_of(request.microbatches);
    CARAVAN_CHECK(is_legal(request.microbatches), ConfigError,
                  broken_rule(name, request, "needs " + std::to_string(rounds) + " rounds of equal length") +
                      ". Use " + nearest_legal(request.microbatches) + "?");
    round_ = request.microbatches / rounds;
  }

  int round() const { return round_; }
  /// Stage of the n-th forward of a rank.
  int forward_stage(int rank, int n) const { return n / round_ % stages_per_rank_ * ranks_ + rank; }
  /// Stage of the n-th backward of a rank.
  int backward_stage(int rank, int n) const {
    return (stages_per_rank_ - 1 - n / round_ % stages_per_rank_) * ranks_ + rank;
  }

 private:
  int rounds_of(int microbatches) const { return std::max(1, microbatches / ranks_); }
  bool is_legal(int microbatches) const { return microbatches % rounds_of(microbatches) == 0; }
  /// "4 or 8": a multiple of P is at most P − 1 away on both sides, since M > P where a rule can be broken.
  std::string nearest_legal(int microbatches) const {
    int below = microbatches, above = microbatches;
    while (!is_legal(below)) --below;
    while (!is_legal(above)) ++above;
    return std::to_string(below) + " or " + std::to_string(above);
  }

  int ranks_, stages_per_rank_, round_ = 1;
};

}  // namespace caravan
