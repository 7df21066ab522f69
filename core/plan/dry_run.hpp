#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/plan/cells.hpp"
#include "core/plan/for_each_action.hpp"
#include "core/plan/where.hpp"

namespace caravan {

/// Runs all ranks of a plan as far as data let them, each rank in the order of its row. A work-list of ranks:
/// one that waits is looked at again only when a rank next to its stages has made something. Linear.
class DryRun {
 public:
  DryRun(const Plan& plan, const Placement& placement, const Cells& cells)
      : plan_(plan),
        placement_(placement),
        cells_(cells),
        next_(plan.steps.size()),
        made_(2 * cells.size()) {}

  /// `visit(rank, step)` for every step, after everything that it reads. ConfigError with the stuck step of
  /// each rank.
  template <typename Visit>
  void run(Visit&& visit) {
    for (int rank = plan_.ranks(); rank-- > 0;) waiting_.push_back(rank);
    is_listed_.assign(next_.size(), 1);
    while (!waiting_.empty()) {
      const int rank = waiting_.back();
      waiting_.pop_back();
      is_listed_[static_cast<std::size_t>(rank)] = 0;
      run_rank(rank, visit);
    }
    check_ended(plan_, next_, "every rank waits for another");
  }

 private:
  template <typename Visit>
  void run_rank(int rank, Visit& visit) {
    std::size_t& next = next_[static_cast<std::size_t>(rank)];
    const std::vector<Step>& row = plan_.steps[static_cast<std::size_t>(rank)];
    for (; next < row.size() && is_ready(row[next]); ++next) {
      visit(rank, next);
      for_each_action(row[next], [&](const Action& action) { hand_on(rank, action); });
    }
  }

  bool is_ready(const Step& step) const {
    return is_there(step.action) && (!step.overlapped || is_there(*step.overlapped));
  }

  bool is_there(const Action& action) const {
    const std::size_t input = cells_.read_by(action);
    return input == Cells::kNone || made_[input] != 0;
  }

  void hand_on(int rank, const Action& action) {
    const std::size_t product = cells_.made_by(action);
    if (product == Cells::kNone) return;
    made_[product] = 1;
    const int reader = cells_.reader_of(action);
    if (reader < 0) return;
    const int peer = placement_.rank_of[static_cast<std::size_t>(reader)];
    if (peer == rank || std::exchange(is_listed_[static_cast<std::size_t>(peer)], 1) != 0) return;
    waiting_.push_back(peer);
  }

  const Plan& plan_;
  const Placement& placement_;
  const Cells& cells_;
  std::vector<std::size_t> next_;
  std::vector<std::uint8_t> made_, is_listed_;
  std::vector<int> waiting_;
};

}  // namespace caravan
