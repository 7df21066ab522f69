#include <algorithm>
#include <array>

#include "caravan/interleaved_order.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// ZB1P: interleaved 1F1B with B apart into I, which others wait for, and W, which nobody does. W runs `rank`
/// actions late, so that the ranks that wait longest at the end have W left to fill it.
///
/// Source: Qi et al. 2023, "Zero Bubble Pipeline Parallelism" (ZB-H1), over several stages a rank as PyTorch.
///
/// Bubble, F, I and W of one stage: (P−1)(F+I−W) a rank when M ≥ P and W ≤ F, I. With fewer, at F = I = W =
/// 1, P−1 + P−M + (V−1)·max(P−M, 2P−3M).
///
/// Memory: a rank keeps min(V·M, (V−1)·R + P) micro-batches of a stage, R the length of a round; V·P at R =
/// P.
///
/// Constraint: max(1, ⌊M/P⌋) rounds of equal length R, such as any multiple of P.
class InterleavedZeroBubble final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "interleaved_zero_bubble";
  static constexpr const char* kSummary = "Interleaved 1F1B with I and W apart (ZB1P)";
  static constexpr std::array<caravan_param, 0> kParams{};

  InterleavedZeroBubble(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kSeveralStages; }

  Plan build(const PlanRequest& request) const override {
    const InterleavedOrder order(request, kName);
    return plan_of_rows(request.ranks, [&](int rank) { return row(rank, request, order); });
  }

 private:
  static std::vector<Step> row(int rank, const PlanRequest& request, const InterleavedOrder& order) {
    Row row(request);
    const int all = request.stages_per_rank * request.microbatches;
    const int warm_up =
        std::min(all, (request.stages_per_rank - 1) * order.round() + request.ranks - 1 - rank);
    for (int i = 0; i < warm_up; ++i) row.forward(order.forward_stage(rank, i));
    for (int i = 0; i < all; ++i) {
      if (warm_up + i < all) row.forward(order.forward_stage(rank, warm_up + i));
      row.backward_input(order.backward_stage(rank, i));
      if (i >= rank) row.backward_weight(order.backward_stage(rank, i - rank));
    }
    for (int i = std::max(0, all - rank); i < all; ++i) row.backward_weight(order.backward_stage(rank, i));
    return row.take();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-interleaved_zero_bubble", CARAVAN_VERSION, "Apache-2.0",
               "Interleaved zero-bubble pipeline schedule",
               caravan::component<caravan::InterleavedZeroBubble>());
