#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// GPipe over V stages a rank: all forwards of a stage, then of the next; the backwards the same way back,
/// last micro-batch first.
///
/// Source: Lamy-Poirier 2022, "Breadth-First Pipeline Parallelism".
///
/// Bubble, F and B of one stage: (P−1)(F+B) a rank; with M < P, (V−1)(P−M)(F+B) more.
///
/// Memory: a rank keeps all V·M micro-batches of a stage.
///
/// Constraint: none.
class LoopedBfs final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "looped_bfs";
  static constexpr const char* kSummary = "Breadth first over several stages a rank";
  static constexpr std::array<caravan_param, 0> kParams{};

  LoopedBfs(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kSeveralStages; }

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
  }

 private:
  static std::vector<Step> row(int rank, const PlanRequest& request) {
    Row row(request);
    for (int stage = rank; stage < stages(request); stage += request.ranks) {
      for (int i = 0; i < request.microbatches; ++i) row.forward(stage);
    }
    for (int stage = stages(request) - request.ranks + rank; stage >= 0; stage -= request.ranks) {
      for (int i = request.microbatches; i > 0; --i) row.backward(stage, i - 1);
    }
    return row.take();
  }
  static int stages(const PlanRequest& request) { return request.ranks * request.stages_per_rank; }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-looped_bfs", CARAVAN_VERSION, "Apache-2.0", "Breadth-first pipeline schedule",
               caravan::component<caravan::LoopedBfs>());
