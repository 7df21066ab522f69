#pragma once

#include <vector>

#include "caravan/schedule.hpp"

namespace caravan {

/// Which rank holds each stage of a plan, and which stages each rank holds (ascending).
struct Placement {
  std::vector<int> rank_of;                 ///< [stages]
  std::vector<std::vector<int>> stages_of;  ///< [ranks]
  int stages() const { return static_cast<int>(rank_of.size()); }
  bool same_rank(int a, int b) const {
    return rank_of[static_cast<std::size_t>(a)] == rank_of[static_cast<std::size_t>(b)];
  }
};

/// Read off the forwards of a plan. ConfigError when a stage stands on two ranks or on none.
Placement placement_of(const Plan& plan);

}  // namespace caravan
