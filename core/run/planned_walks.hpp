#pragma once

#include <cstddef>
#include <vector>

#include "core/plan/for_each_action.hpp"
#include "core/plan/lower.hpp"
#include "core/run/stage_walks.hpp"

namespace caravan {

/// Which walk each action of a rank's plan makes, without making it: for what counts a step's exchanges.
class PlannedWalks {
 public:
  /// Borrows everything. `walks`: of this rank's stages, ascending, as `stages` numbers them in the plan.
  PlannedWalks(const RankPlan& plan, const std::vector<int>& stages, std::vector<StageWalks>& walks)
      : plan_(plan), stages_(stages), walks_(walks) {}

  /// Calls use(action, at, walk) for every action of the row in its order: `at` is the index of its stage,
  /// `walk` null where the action makes none.
  template <typename Use>
  void for_each(Use&& use) {
    for (const Step& step : plan_.row) {
      for_each_action(step, [&](const Action& action) {
        const std::size_t at = index_of(action.stage);
        use(action, at, next(action, at));
      });
    }
  }

 private:
  std::size_t index_of(int stage) const;
  const Walk* next(const Action& action, std::size_t at);

  const RankPlan& plan_;
  const std::vector<int>& stages_;
  std::vector<StageWalks>& walks_;
};

}  // namespace caravan
