#include "core/run/planned_walks.hpp"

#include <algorithm>

namespace caravan {

std::size_t PlannedWalks::index_of(int stage) const {
  return static_cast<std::size_t>(std::find(stages_.begin(), stages_.end(), stage) - stages_.begin());
}

/// A forward that has no place for what it makes is left to its repetition.
const Walk* PlannedWalks::next(const Action& action, std::size_t at) {
  const bool is_left_out =
      action.kind == ActionKind::forward && plan_.places[at].forward_set(action.microbatch) == kNoPlace;
  if (!is_walk(action.kind) || is_left_out) return nullptr;
  return &walks_[at].next(action.kind, action.microbatch);
}

}  // namespace caravan
