#include <fmt/format.h>

#include <cstdint>
#include <optional>

#include "caravan/check.hpp"
#include "core/plan/cells.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/for_each_action.hpp"
#include "core/plan/where.hpp"

namespace caravan {
namespace {

/// The other end of a message; nothing for an action that is none.
std::optional<Action> other_end(const Action& action) {
  switch (action.kind) {
    case ActionKind::send_forward:
      return Action{action.stage + 1, ActionKind::receive_forward, action.microbatch};
    case ActionKind::receive_forward:
      return Action{action.stage - 1, ActionKind::send_forward, action.microbatch};
    case ActionKind::send_backward:
      return Action{action.stage - 1, ActionKind::receive_backward, action.microbatch};
    case ActionKind::receive_backward:
      return Action{action.stage + 1, ActionKind::send_backward, action.microbatch};
    default:
      return std::nullopt;
  }
}

/// Runs the rows; a message needs both of its ranks at its two ends, which is the strictest there is.
class Rendezvous {
 public:
  explicit Rendezvous(const Plan& plan)
      : plan_(plan),
        placement_(placement_of(plan)),
        cells_(plan, placement_, microbatches_of(plan)),
        next_(plan.steps.size()),
        made_(2 * cells_.size()),
        received_(2 * cells_.size()) {}

  void run() {
    std::vector<int> ranks;
    for (int rank = 0; rank < plan_.ranks(); ++rank) ranks.push_back(rank);
    while (!ranks.empty()) {
      const int rank = ranks.back();
      ranks.pop_back();
      run_to_message(rank);
      const int peer = exchange(rank);
      if (peer >= 0) ranks.insert(ranks.end(), {rank, peer});
    }
    check_ended(plan_, next_, "no two ranks are at the two ends of one message");
  }

 private:
  std::size_t& next(int rank) { return next_[static_cast<std::size_t>(rank)]; }

  const Step* current(int rank) const {
    const auto r = static_cast<std::size_t>(rank);
    return next_[r] < plan_.steps[r].size() ? &plan_.steps[r][next_[r]] : nullptr;
  }

  [[noreturn]] void refuse(int rank, const char* why) const {
    throw ConfigError(
        fmt::format("{}: {}", place_text(plan_, rank, next_[static_cast<std::size_t>(rank)]), why));
  }

  void run_to_message(int rank) {
    for (; const Step* step = current(rank); ++next(rank)) {
      if (other_end(step->action)) return;
      for_each_action(*step, [&](const Action& action) { check_input(rank, action); });
      for_each_action(*step, [&](const Action& action) {
        const std::size_t product = cells_.made_by(action);
        if (product != Cells::kNone) made_[product] = 1;
      });
    }
  }

  void check_input(int rank, const Action& action) const {
    const std::size_t input = cells_.read_by(action);
    if (input == Cells::kNone) return;
    const int maker = action.stage + (action.kind == ActionKind::forward ? -1 : 1);
    if (placement_.same_rank(maker, action.stage)) {
      if (made_[input] == 0) refuse(rank, "what it reads is made later on the same rank");
    } else if (received_[input] == 0) {
      refuse(rank, "what it reads has not been received before it");
    }
  }

  /// The peer when the message at which `rank` stands has gone through; else −1.
  int exchange(int rank) {
    const Step* step = current(rank);
    if (step == nullptr) return -1;
    const Action& mine = step->action;
    const Action other = *other_end(mine);
    if (other.stage < 0 || other.stage >= cells_.stages()) refuse(rank, "there is no such stage to talk to");
    const int peer = placement_.rank_of[static_cast<std::size_t>(other.stage)];
    if (peer == rank) refuse(rank, "both stages are on this rank (they need no message)");
    const bool sends = mine.kind == ActionKind::send_forward || mine.kind == ActionKind::send_backward;
    const std::size_t product = product_of(sends ? mine : other);
    if (received_[product] != 0) refuse(rank, "this message has gone before");
    const Step* theirs = current(peer);
    if (theirs == nullptr || theirs->action != other) return -1;
    if (made_[product] == 0) refuse(sends ? rank : peer, "it sends what has not been made");
    received_[product] = 1;
    ++next(rank);
    ++next(peer);
    return peer;
  }

  std::size_t product_of(const Action& send) const {
    const auto maker =
        send.kind == ActionKind::send_forward ? ActionKind::forward : ActionKind::backward_input;
    return cells_.made_by({send.stage, maker, send.microbatch});
  }

  const Plan& plan_;
  Placement placement_;
  Cells cells_;
  std::vector<std::size_t> next_;
  std::vector<std::uint8_t> made_, received_;
};

}  // namespace

void check_communication(const Plan& plan) {
  Rendezvous(plan).run();
}

}  // namespace caravan
