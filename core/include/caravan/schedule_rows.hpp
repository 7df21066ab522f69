#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/schedule.hpp"

// What schedules are written with. A schedule may as well fill a Plan by hand.
namespace caravan {

/// Any number of stages a rank from 2; 2 unless a job says otherwise.
inline constexpr StagesPerRank kSeveralStages{2, 1 << 20, 2};
/// The stages of a rank of a V: one on the way down, one on the way up.
inline constexpr StagesPerRank kTwoStages{2, 2, 2};

/// Stages 0 to P−1 go down the ranks and P to 2P−1 come back up: rank 0 has the first and the last.
struct VStages {
  int down = 0, up = 0;
};
inline VStages v_stages(int rank, int ranks) {
  return {rank, 2 * ranks - 1 - rank};
}

/// The row of one rank. It numbers micro-batches by itself: the n-th forward of a stage is micro-batch n, and
/// so for its backwards (I and B together) and its weight gradients (W and B together).
class Row {
 public:
  /// Actions on micro-batches that the request does not have are counted, but left out.
  explicit Row(const PlanRequest& request)
      : microbatches_(request.microbatches),
        counts_(static_cast<std::size_t>(request.ranks) * static_cast<std::size_t>(request.stages_per_rank)) {
    const auto most = static_cast<std::size_t>(request.stages_per_rank) * 3;
    steps_.reserve(most * static_cast<std::size_t>(request.microbatches) + 1);
  }

  void forward(int stage) { add(next_forward(stage)); }
  void backward(int stage) { add(next_backward(stage)); }
  /// For a schedule with an order of its own.
  void backward(int stage, int microbatch) { add({stage, ActionKind::backward, microbatch}); }
  void backward_input(int stage) { add({stage, ActionKind::backward_input, count(stage).backwards++}); }
  void backward_weight(int stage) { add({stage, ActionKind::backward_weight, count(stage).weights++}); }
  void overlap(int forward_stage, int backward_stage) {
    const Action forward = next_forward(forward_stage);
    steps_.push_back({forward, next_backward(backward_stage)});
  }
  void reduce_gradients(int stage) { add({stage, ActionKind::reduce_gradients, kNoMicrobatch}); }

  int forwards(int stage) { return count(stage).forwards; }
  int backwards(int stage) { return count(stage).backwards; }
  int weights(int stage) { return count(stage).weights; }

  std::vector<Step> take() { return std::move(steps_); }

 private:
  struct Counts {
    int forwards = 0, backwards = 0, weights = 0;
  };

  Counts& count(int stage) { return counts_[static_cast<std::size_t>(stage)]; }
  Action next_forward(int stage) { return {stage, ActionKind::forward, count(stage).forwards++}; }
  Action next_backward(int stage) {
    ++count(stage).weights;
    return {stage, ActionKind::backward, count(stage).backwards++};
  }
  void add(const Action& action) {
    if (action.microbatch < microbatches_) steps_.push_back({action, {}});
  }

  int microbatches_;
  std::vector<Counts> counts_;
  std::vector<Step> steps_;
};

/// One row a rank, each from `row(rank)`.
template <class MakeRow>
Plan plan_of_rows(int ranks, MakeRow row) {
  Plan plan;
  plan.steps.reserve(static_cast<std::size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) plan.steps.push_back(row(rank));
  return plan;
}

/// How a rank with I and W apart runs its one stage: so many forwards first; W so many micro-batches after I.
struct SplitBackward {
  int warm_up = 1, late = 0;
};
/// `warm_up` forwards, then I, the W that is `late`, F in turn, then the W that are left.
inline std::vector<Step> split_backward_row(int stage, const PlanRequest& request, const SplitBackward& how) {
  Row row(request);
  while (row.forwards(stage) < std::min(how.warm_up, request.microbatches)) row.forward(stage);
  while (row.backwards(stage) < request.microbatches) {
    row.backward_input(stage);
    if (row.backwards(stage) > how.late) row.backward_weight(stage);
    if (row.forwards(stage) < request.microbatches) row.forward(stage);
  }
  while (row.weights(stage) < request.microbatches) row.backward_weight(stage);
  return row.take();
}

/// "microbatches=3 (1f1b with 4 ranks <rule>)", for messages.
inline std::string broken_rule(const std::string& name, const PlanRequest& request, const std::string& rule) {
  return "microbatches=" + std::to_string(request.microbatches) + " (" + name + " with " +
         std::to_string(request.ranks) + (request.ranks == 1 ? " rank " : " ranks ") + rule + ")";
}

/// ConfigError unless `value` is from `least` to `most`: "ranks=0 (<owner> has 1 to 65536). Use 1?"
inline void check_bounds(const std::string& what, int value, const StagesPerRank& bounds,
                         const std::string& owner) {
  const std::string least = std::to_string(bounds.least), most = std::to_string(bounds.most);
  const std::string right = bounds.least == bounds.most ? least : least + " to " + most;
  CARAVAN_CHECK(value >= bounds.least && value <= bounds.most, ConfigError,
                what + "=" + std::to_string(value) + " (" + owner + " has " + right + "). Use " +
                    (value < bounds.least ? least : most) + "?");
}

/// ConfigError unless the numbers of the request are in the bounds of `parse_schedule_csv`, the stages a rank
/// in those of the schedule, and the forwards of all ranks fewer than 2^26 (a plan of some GB).
inline void check_request(const PlanRequest& request, const StagesPerRank& stages, const std::string& name) {
  check_bounds("ranks", request.ranks, {1, 1 << 16}, "a pipeline");
  check_bounds("microbatches", request.microbatches, {1, (1 << 20) - 1}, "a step");
  check_bounds("stages_per_rank", request.stages_per_rank, stages, name);
  const double forwards = 1.0 * request.ranks * request.stages_per_rank * request.microbatches;
  CARAVAN_CHECK(forwards < 1 << 26, ConfigError,
                "ranks=" + std::to_string(request.ranks) +
                    ", stages_per_rank=" + std::to_string(request.stages_per_rank) +
                    ", microbatches=" + std::to_string(request.microbatches) +
                    " (their product must be below 2^26). Fewer micro-batches?");
}

}  // namespace caravan
