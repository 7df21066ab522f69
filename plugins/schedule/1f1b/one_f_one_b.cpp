#include <array>
#include <string>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// Each rank warms up with a forward for itself and one for each rank after it, then alternates one backward
/// and one forward, then drains.
///
/// Source: Narayanan et al. 2019, "PipeDream", with a flush at the end of the step as in Megatron-LM.
///
/// Bubble: (P−1)(F+B) a rank.
///
/// Memory: rank r keeps P−r micro-batches.
///
/// Constraint: M ≥ P.
class OneForwardOneBackward final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "1f1b";
  static constexpr const char* kSummary = "One forward, one backward; one stage a rank";
  static constexpr std::array<caravan_param, 0> kParams{};

  OneForwardOneBackward(const Host&, const Config&) {}

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    const std::string ranks = std::to_string(request.ranks);
    CARAVAN_CHECK(request.microbatches >= request.ranks, ConfigError,
                  broken_rule(kName, request, "needs at least " + ranks) + ". Use " + ranks + ", or gpipe?");
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
  }

 private:
  static std::vector<Step> row(int stage, const PlanRequest& request) {
    Row row(request);
    const int warm_up = request.ranks - stage;
    for (int i = 0; i < warm_up; ++i) row.forward(stage);
    while (row.backwards(stage) < request.microbatches) {
      row.backward(stage);
      if (row.forwards(stage) < request.microbatches) row.forward(stage);
    }
    row.reduce_gradients(stage);
    return row.take();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-1f1b", CARAVAN_VERSION, "Apache-2.0", "1F1B pipeline schedule",
               caravan::component<caravan::OneForwardOneBackward>());
