#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "caravan/schedule_rows.hpp"

namespace caravan {

/// A V-shaped building block: when the passes of one micro-batch run, F down and up the ranks, then I down
/// and up, in units of one pass (F, I or W of one stage). The next micro-batch follows kInterval units later,
/// the work of one micro-batch on a rank, so two passes of a rank must differ modulo kInterval. The longer a
/// micro-batch stays on a rank, the more of them are kept there: the offsets choose the memory. Qi et al.
/// 2024, "Pipeline Parallelism with Controllable Memory", §3.
struct VBlock {
  static constexpr int kInterval = 6;
  int forward_down, forward_turn, forward_up;     ///< units from an F to the F of the next stage
  int loss_turn;                                  ///< from the last F to the first I, both on rank 0
  int backward_down, backward_turn, backward_up;  ///< units from an I to the I of the stage before

  /// When the first micro-batch's F of the down and the up stage and I of the up and the down stage run.
  std::array<int, 4> offsets(int rank, int ranks) const {
    const int before = rank, after = ranks - 1 - rank;
    const int turned = forward_down * (ranks - 1) + forward_turn;
    const int lost = turned + forward_up * (ranks - 1) + loss_turn;
    const int returned = lost + backward_down * (ranks - 1) + backward_turn;
    return {forward_down * before, turned + forward_up * after, lost + backward_down * before,
            returned + backward_up * after};
  }

  bool repeats_without_collision(int rank, int ranks) const {
    std::array<int, kInterval> taken{};
    for (const int offset : offsets(rank, ranks)) ++taken[static_cast<std::size_t>(offset % kInterval)];
    return *std::max_element(taken.begin(), taken.end()) == 1;
  }
};

/// Repeats a building block for all micro-batches and squeezes it: turn by turn, every rank runs its next F
/// or I in the order of the block when its input is there and an F leaves at most `most_stashes`, else its
/// oldest W, else nothing. Time O(ranks · (microbatches + ranks)).
class VBlockRepetition {
 public:
  VBlockRepetition(const VBlock& block, const PlanRequest& request, int most_stashes)
      : microbatches_(request.microbatches),
        most_stashes_(most_stashes),
        forwards_(static_cast<std::size_t>(2 * request.ranks)),
        inputs_(forwards_.size()) {
    for (int rank = 0; rank < request.ranks; ++rank) {
      CARAVAN_EXPECT(block.repeats_without_collision(rank, request.ranks));
      const VStages stages = v_stages(rank, request.ranks);
      ranks_.push_back({{stages.down, stages.up, stages.up, stages.down},
                        block.offsets(rank, request.ranks),
                        Row(request)});
    }
  }

  Plan plan() {
    std::size_t left = ranks_.size() * static_cast<std::size_t>(VBlock::kInterval * microbatches_);
    while (left > 0) {
      const std::size_t ran = run_slot();
      CARAVAN_CHECK(ran > 0, Error, "a V-shaped building block is stuck (its order cannot be run)");
      left -= ran;
    }
    return plan_of_rows(static_cast<int>(ranks_.size()),
                        [this](int rank) { return ranks_[static_cast<std::size_t>(rank)].row.take(); });
  }

 private:
  using Numbers = std::array<int, 4>;  ///< of F down, F up, I up, I down: the order of VBlock::offsets
  static constexpr std::size_t kFirstInput = 2, kNone = 4;

  struct Rank {
    Numbers stages, offsets;
    Row row;
    Numbers runs{};     ///< of F and I
    Numbers weights{};  ///< of W, at the place of its I
    int stashes = 0;
  };

  std::size_t run_slot() {
    std::size_t ran = 0;
    finished_.clear();
    for (Rank& rank : ranks_) ran += run_next(rank) || run_weight(rank);
    for (int* count : finished_) ++*count;
    return ran;
  }

  bool run_next(Rank& rank) {
    const std::size_t pass = first_due(rank, 0, rank.runs, all());
    if (pass == kNone || !is_ready(rank, pass)) return false;
    const int stage = rank.stages[pass];
    if (pass < kFirstInput) {
      rank.row.forward(stage);
      ++rank.stashes;
    } else {
      rank.row.backward_input(stage);
    }
    ++rank.runs[pass];
    finished_.push_back(&(pass < kFirstInput ? forwards_ : inputs_)[static_cast<std::size_t>(stage)]);
    return true;
  }

  bool run_weight(Rank& rank) {
    const std::size_t pass = first_due(rank, kFirstInput, rank.weights, rank.runs);
    if (pass == kNone) return false;
    rank.row.backward_weight(rank.stages[pass]);
    ++rank.weights[pass];
    --rank.stashes;
    return true;
  }

  /// Of the passes from `from` on that ran fewer times than they may, the one that stands first in the block.
  static std::size_t first_due(const Rank& rank, std::size_t from, const Numbers& runs, const Numbers& most) {
    const auto turn = [&](std::size_t pass) { return rank.offsets[pass] + VBlock::kInterval * runs[pass]; };
    std::size_t first = kNone;
    for (std::size_t pass = from; pass < kNone; ++pass) {
      if (runs[pass] < most[pass] && (first == kNone || turn(pass) < turn(first))) first = pass;
    }
    return first;
  }

  bool is_ready(const Rank& rank, std::size_t pass) const {
    const auto stage = static_cast<std::size_t>(rank.stages[pass]);
    const int microbatch = rank.runs[pass];
    if (pass >= kFirstInput)
      return (stage + 1 < inputs_.size() ? inputs_[stage + 1] : forwards_[stage]) > microbatch;
    return rank.stashes < most_stashes_ && (stage == 0 || forwards_[stage - 1] > microbatch);
  }

  Numbers all() const { return {microbatches_, microbatches_, microbatches_, microbatches_}; }

  int microbatches_, most_stashes_;
  std::vector<int> forwards_, inputs_;  ///< [stage] F and I that ended before this turn
  std::vector<int*> finished_;          ///< what this turn adds to them
  std::vector<Rank> ranks_;
};

}  // namespace caravan
