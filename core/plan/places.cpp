#include "core/plan/places.hpp"

#include <algorithm>

namespace caravan {
namespace {

/// Hands out the lowest free place.
class Places {
 public:
  explicit Places(int microbatches) { map_.of.assign(static_cast<std::size_t>(microbatches), kNoPlace); }

  void take(int microbatch) {
    auto free = std::find(used_.begin(), used_.end(), false);
    if (free == used_.end()) free = used_.insert(used_.end(), false);
    *free = true;
    map_.of[static_cast<std::size_t>(microbatch)] = static_cast<int>(free - used_.begin());
  }
  void give_back(int microbatch) {
    const int place = map_.of[static_cast<std::size_t>(microbatch)];
    if (place != kNoPlace) used_[static_cast<std::size_t>(place)] = false;
  }
  PlaceMap map() {
    map_.count = static_cast<int>(used_.size());
    return map_;
  }

 private:
  PlaceMap map_;
  std::vector<bool> used_;
};

bool is_backward(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_input;
}
bool finishes(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight;
}

class StageWalk {
 public:
  StageWalk(const std::vector<Step>& row, int stage, int microbatches, const Placement& placement)
      : stage_(stage), stash_(microbatches), input_(microbatches), gradient_(microbatches) {
    before_is_local_ = stage > 0 && placement.same_rank(stage - 1, stage);
    is_last_ = stage + 1 == placement.stages();
    after_is_local_ = stage + 1 < placement.stages() && placement.same_rank(stage, stage + 1);
    for (const Step& step : row) {
      see(step.action);
      if (!step.overlapped) continue;
      see(*step.overlapped);
      overlaps_ |= step.action.stage == stage && step.overlapped->stage == stage;
    }
    for (const Step& step : row) {
      begin(step.action);
      if (step.overlapped) begin(*step.overlapped);
      end(step.action);
      if (step.overlapped) end(*step.overlapped);
    }
  }

  StagePlaces places() {
    return {stash_.map(), input_.map(), gradient_.map(), splits_, recomputes_, is_last_, overlaps_};
  }

 private:
  void see(const Action& action) {
    if (action.stage != stage_) return;
    splits_ |= action.kind == ActionKind::backward_weight;
    recomputes_ |= action.kind == ActionKind::recompute;
    trains_ |= finishes(action);
  }

  void begin(const Action& action) {
    const int microbatch = action.microbatch;
    if (before_is_local_ && action.stage == stage_ - 1 && action.kind == ActionKind::forward)
      input_.take(microbatch);
    if (after_is_local_ && action.stage == stage_ + 1 && is_backward(action)) gradient_.take(microbatch);
    if (action.stage != stage_) return;
    if (action.kind == ActionKind::receive_forward) input_.take(microbatch);
    if (action.kind == ActionKind::receive_backward) gradient_.take(microbatch);
    if (action.kind == (recomputes_ ? ActionKind::recompute : ActionKind::forward)) stash_.take(microbatch);
  }

  void end(const Action& action) {
    const bool last_use = trains_ ? finishes(action) : action.kind == ActionKind::forward;
    if (action.stage != stage_ || !last_use) return;
    stash_.give_back(action.microbatch);
    input_.give_back(action.microbatch);
    gradient_.give_back(action.microbatch);
  }

  int stage_;
  bool before_is_local_, after_is_local_, is_last_;
  bool splits_ = false, recomputes_ = false, trains_ = false, overlaps_ = false;
  Places stash_, input_, gradient_;
};

}  // namespace

StagePlaces assign_places(const std::vector<Step>& row, int stage, int microbatches,
                          const Placement& placement) {
  return StageWalk(row, stage, microbatches, placement).places();
}

}  // namespace caravan
