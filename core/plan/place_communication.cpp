#include <cstdint>
#include <functional>
#include <queue>
#include <utility>

#include "core/plan/dry_run.hpp"
#include "core/plan/passes.hpp"

namespace caravan {
namespace {

/// PyTorch's order: sweeps over the ranks, in which each rank does at most one step. Ranks whose next step
/// waits for a message are left out of the sweeps until one comes, which changes nothing but the time.
class Lowering {
 public:
  explicit Lowering(const Plan& plan)
      : plan_(plan),
        placement_(placement_of(plan)),
        cells_(plan, placement_, microbatches_of(plan)),
        is_there_(2 * cells_.size()),
        next_(plan.steps.size()),
        waits_(plan.steps.size()) {
    lowered_.steps.resize(plan.steps.size());
  }

  Plan run() && {
    for (int rank = 0; rank < plan_.ranks(); ++rank) now_.push(rank);
    while (!now_.empty()) {
      while (!now_.empty()) {
        rank_ = now_.top();
        now_.pop();
        visit();
      }
      now_.swap(later_);
    }
    check_ended(plan_, next_, "every rank waits for another");
    return std::move(lowered_);
  }

 private:
  using Ranks = std::priority_queue<int, std::vector<int>, std::greater<>>;

  void visit() {
    const auto rank = static_cast<std::size_t>(rank_);
    const std::vector<Step>& row = plan_.steps[rank];
    if (next_[rank] == row.size()) return;
    const Step& step = row[next_[rank]];
    if (!is_ready(step)) {
      waits_[rank] = 1;
      return;
    }
    lowered_.steps[rank].push_back(step);
    for_each_action(step, [&](const Action& action) { hand_on(action); });
    ++next_[rank];
    later_.push(rank_);
  }

  bool is_ready(const Step& step) const {
    bool ready = true;
    for_each_action(step, [&](const Action& action) {
      const std::size_t input = cells_.read_by(action);
      ready = ready && (input == Cells::kNone || is_there_[input] != 0);
    });
    return ready;
  }

  void hand_on(const Action& action) {
    const int reader = cells_.reader_of(action);
    if (reader < 0) return;
    is_there_[cells_.made_by(action)] = 1;
    const int peer = placement_.rank_of[static_cast<std::size_t>(reader)];
    if (peer == rank_) return;
    const bool is_forward = action.kind == ActionKind::forward;
    const auto send = is_forward ? ActionKind::send_forward : ActionKind::send_backward;
    const auto receive = is_forward ? ActionKind::receive_forward : ActionKind::receive_backward;
    lowered_.steps[static_cast<std::size_t>(rank_)].push_back({{action.stage, send, action.microbatch}, {}});
    lowered_.steps[static_cast<std::size_t>(peer)].push_back({{reader, receive, action.microbatch}, {}});
    wake(peer);
  }

  /// In this sweep when its turn is still to come.
  void wake(int peer) {
    if (std::exchange(waits_[static_cast<std::size_t>(peer)], 0) != 0)
      (peer > rank_ ? now_ : later_).push(peer);
  }

  const Plan& plan_;
  Placement placement_;
  Cells cells_;
  std::vector<std::uint8_t> is_there_;
  std::vector<std::size_t> next_;
  std::vector<std::uint8_t> waits_;
  Ranks now_, later_;
  int rank_ = 0;
  Plan lowered_;
};

}  // namespace

Plan place_communication(const Plan& plan) {
  return Lowering(plan).run();
}

}  // namespace caravan
