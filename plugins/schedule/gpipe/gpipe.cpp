#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// All forwards, then all backwards in the same order, one stage a rank.
///
/// Source: Huang et al. 2019, "GPipe".
///
/// Bubble: (P−1)(F+B) a rank.
///
/// Memory: a rank keeps all M micro-batches.
///
/// Constraint: none.
class GPipe final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "gpipe";
  static constexpr const char* kSummary = "All forwards, then all backwards; one stage a rank";
  static constexpr std::array<caravan_param, 0> kParams{};

  GPipe(const Host&, const Config&) {}

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
  }

 private:
  static std::vector<Step> row(int stage, const PlanRequest& request) {
    Row row(request);
    for (int i = 0; i < request.microbatches; ++i) row.forward(stage);
    for (int i = 0; i < request.microbatches; ++i) row.backward(stage);
    row.reduce_gradients(stage);
    return row.take();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-gpipe", CARAVAN_VERSION, "Apache-2.0", "GPipe pipeline schedule",
               caravan::component<caravan::GPipe>());
