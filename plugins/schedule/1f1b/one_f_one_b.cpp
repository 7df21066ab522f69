#include <algorithm>
#include <array>
#include <string>

#include "caravan/check.hpp"
#include "caravan/plugin.hpp"
#include "caravan/schedule.hpp"

namespace caravan {
namespace {

/// 1F1B (PipeDream-flush): warm up with as many forwards as stages follow, then alternate, then drain.
/// Bubble (P−1)/(M+P−1); rank r keeps P−r micro-batches.
class OneForwardOneBackward final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "1f1b";
  static constexpr const char* kSummary = "One forward, one backward; one stage a rank";
  static constexpr std::array<caravan_param, 0> kParams{};

  OneForwardOneBackward(const Host&, const Config&) {}

  Plan build(const PlanRequest& request) const override {
    CARAVAN_CHECK(
        request.stages_per_rank == 1, ConfigError,
        "stages_per_rank=" + std::to_string(request.stages_per_rank) + " (1f1b has one stage a rank)");
    CARAVAN_CHECK(request.microbatches >= request.ranks, ConfigError,
                  "microbatches=" + std::to_string(request.microbatches) +
                      " (1f1b needs at least ranks=" + std::to_string(request.ranks) + ")");
    Plan plan;
    for (int rank = 0; rank < request.ranks; ++rank) plan.steps.push_back(row(rank, request));
    return plan;
  }

 private:
  static std::vector<Step> row(int rank, const PlanRequest& request) {
    std::vector<Step> steps;
    const int warm_up = std::min(request.microbatches, request.ranks - rank);
    int forward = 0, backward = 0;
    while (forward < warm_up) steps.push_back({{rank, ActionKind::forward, forward++}, {}});
    while (backward < request.microbatches) {
      steps.push_back({{rank, ActionKind::backward, backward++}, {}});
      if (forward < request.microbatches) steps.push_back({{rank, ActionKind::forward, forward++}, {}});
    }
    return steps;
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-1f1b", CARAVAN_VERSION, "Apache-2.0", "1F1B pipeline schedule",
               caravan::component<caravan::OneForwardOneBackward>());
