#include <algorithm>
#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// Two stages a rank in a V, I and W apart. The last stage stands on rank 0, so that backwards start as soon
/// as the first forward is through, and every rank works from its first action to its last without a gap.
///
/// Source: Qi et al. 2023, "Zero Bubble Pipeline Parallelism", ZB-V; the steps as PyTorch has them.
///
/// Bubble, F = I = W = 1 of one stage: none between a rank's first and last action when M ≥ 2P−1, as
/// published; the last rank starts P−1 later and ends with the others, so the step takes 6M + P−1. With fewer
/// micro-batches 6M + max(P−1, 4P−2−2M).
///
/// Memory: a rank keeps at most min(2M, 2P) micro-batches of a stage: P of its share of the model, as 1F1B.
///
/// Constraint: none.
class Zbv final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "zbv";
  static constexpr const char* kSummary = "Zero bubble, two stages a rank in a V";
  static constexpr std::array<caravan_param, 0> kParams{};

  Zbv(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kTwoStages; }

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request); });
  }

 private:
  static std::vector<Step> row(int rank, const PlanRequest& request) {
    Row row(request);
    const auto [down, up] = v_stages(rank, request.ranks);
    const int after = request.ranks - rank;  // this rank and those after it
    warm_up(row, {down, up}, rank, after);
    // The pattern needs 2P−1 micro-batches; with fewer, what is too much is left out of it.
    const int most = std::max(2 * request.ranks - 1, request.microbatches);
    while (row.forwards(up) < row.forwards(down) || row.forwards(down) < most) {
      if (row.forwards(down) < most) row.forward(down);
      input_and_weight(row, down);
      row.forward(up);
      input_and_weight(row, up);
    }
    for (int i = 0; i < rank; ++i) {
      row.backward_input(down);
      row.backward_input(up);
    }
    for (int i = 0; i < after; ++i) input_and_weight(row, down);
    while (row.weights(up) < row.backwards(up)) row.backward_weight(up);
    while (row.weights(down) < row.backwards(down)) row.backward_weight(down);
    return row.take();
  }

  static void warm_up(Row& row, const VStages& stages, int rank, int after) {
    for (int i = 0; i < 2 * after - 1; ++i) row.forward(stages.down);
    for (int i = 0; i < rank; ++i) {
      row.forward(stages.up);
      row.forward(stages.down);
    }
    for (int i = 0; i < after; ++i) {
      row.forward(stages.up);
      input_and_weight(row, stages.up);
    }
  }

  static void input_and_weight(Row& row, int stage) {
    row.backward_input(stage);
    row.backward_weight(stage);
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-zbv", CARAVAN_VERSION, "Apache-2.0", "Zero-bubble V pipeline schedule",
               caravan::component<caravan::Zbv>());
