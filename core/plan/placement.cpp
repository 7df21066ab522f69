#include "core/plan/placement.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {
namespace {

constexpr int kMostStages = 1 << 20;
constexpr int kNowhere = -1;

class PlacementReader {
 public:
  void take(int rank, const Action& action) {
    if (action.kind != ActionKind::forward) return;
    CARAVAN_CHECK(action.stage >= 0 && action.stage < kMostStages, ConfigError,
                  fmt::format("rank {}: stage {} (stages are 0 to {})", rank, action.stage, kMostStages - 1));
    const auto stage = static_cast<std::size_t>(action.stage);
    if (stage >= rank_of.size()) rank_of.resize(stage + 1, kNowhere);
    if (rank_of[stage] == kNowhere) rank_of[stage] = rank;
    CARAVAN_CHECK(rank_of[stage] == rank, ConfigError,
                  fmt::format("rank {}: {} (stage {} is on rank {}; a stage stands on one rank)", rank,
                              to_string(action), action.stage, rank_of[stage]));
  }

  std::vector<int> rank_of;
};

}  // namespace

Placement placement_of(const Plan& plan) {
  PlacementReader reader;
  for (int rank = 0; rank < plan.ranks(); ++rank) {
    for (const Step& step : plan.steps[static_cast<std::size_t>(rank)]) {
      reader.take(rank, step.action);
      if (step.overlapped) reader.take(rank, *step.overlapped);
    }
  }
  const auto missing = std::find(reader.rank_of.begin(), reader.rank_of.end(), kNowhere);
  CARAVAN_CHECK(!reader.rank_of.empty(), ConfigError, "the plan has no forward (so it has no stages)");
  CARAVAN_CHECK(missing == reader.rank_of.end(), ConfigError,
                fmt::format("stage {} has no forward (stages go from 0 to {} without a gap)",
                            missing - reader.rank_of.begin(), reader.rank_of.size() - 1));
  Placement placement{std::move(reader.rank_of), {}};
  placement.stages_of.resize(plan.steps.size());
  for (int stage = 0; stage < placement.stages(); ++stage) {
    const int rank = placement.rank_of[static_cast<std::size_t>(stage)];
    placement.stages_of[static_cast<std::size_t>(rank)].push_back(stage);
  }
  return placement;
}

}  // namespace caravan
