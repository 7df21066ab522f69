#include "core/run/stage_walks.hpp"

#include <utility>

#include "caravan/check.hpp"

namespace caravan {
namespace {

Walk with_exchanges(const StageGroups* groups, Walk walk) {
  return groups ? groups->place(walk) : walk;
}

}  // namespace

StageWalks::StageWalks(const std::vector<Layer*>& layers, const RecomputePlan& recompute, bool separates,
                       const StageGroups* groups)
    : separates_(separates),
      forward_(with_exchanges(groups, forward_walk(layers))),
      backward_(with_exchanges(groups, backward_walk(layers, recompute))),
      backward_input_(with_exchanges(groups, backward_input_walk(layers, recompute))),
      backward_weight_(with_exchanges(groups, backward_weight_walk(layers, recompute))),
      backward_at_once_(with_exchanges(groups, without_first_repeat(backward_walk(layers, recompute)))),
      backward_input_at_once_(
          with_exchanges(groups, without_first_repeat(backward_input_walk(layers, recompute)))) {}

const Walk& StageWalks::next(ActionKind kind, int set) {
  const bool is_forward = kind == ActionKind::forward || kind == ActionKind::recompute;
  const bool at_once = std::exchange(just_forward_, is_forward ? set : -1) == set && !separates_;
  switch (kind) {
    case ActionKind::backward:
      return at_once ? backward_at_once_ : backward_;
    case ActionKind::backward_input:
      return at_once ? backward_input_at_once_ : backward_input_;
    case ActionKind::backward_weight:
      return backward_weight_;
    default:
      CARAVAN_EXPECT(is_forward);
      return forward_;
  }
}

}  // namespace caravan
