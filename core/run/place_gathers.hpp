#pragma once

#include <cstddef>
#include <vector>

#include "core/run/walk.hpp"

namespace caravan {

/// What a walk does with a parameter group that is divided among ranks, and in which rooms.
struct GroupVisits {
  Segment* gather = nullptr;   ///< posts the gathering of the weights
  Segment* prepare = nullptr;  ///< makes the room of the gradients ready for the sums of this walk, or null
  Segment* reduce = nullptr;   ///< posts the sum of the gradients over the ranks
  Segment* reduce_last = nullptr;  ///< the same, where it is the walk's last of this group
  int weight_room = 0, gradient_room = 0;
  bool gathers = true;  ///< in walks; false where the plan says when
  bool reduces =
      true;  ///< at the end of its backward; false where gradients of several walks are summed first
};

inline constexpr std::size_t kMostSums = 4;  ///< the dense parameters and the experts of two blocks

/// Which groups each layer of a stage uses, by their index.
using GroupsOfLayers = std::vector<std::vector<std::size_t>>;

/// The walk with the exchanges of its groups: each is gathered before its first use, as many first uses of
/// groups ahead as `prefetch` says and the room's former user allows; its gradients are prepared before the
/// backward of its first layer and summed after that of its last. A room that several groups use in turns
/// serves each as long as the visits between its first and its last. Where sums wait for no room, at most
/// kMostSums are under way, since each may take memory of what it sums.
Walk place_gathers(const Walk& walk, const GroupsOfLayers& layers, const std::vector<GroupVisits>& groups,
                   int prefetch);

}  // namespace caravan
