#include <algorithm>
#include <array>

#include "caravan/interleaved_order.hpp"
#include "caravan/plugin.hpp"

namespace caravan {
namespace {

/// 1F1B over V stages a rank, visited in rounds of R micro-batches: the pipeline fills in steps of 1/V of a
/// rank.
///
/// Source: Narayanan et al. 2021, "Efficient Large-Scale Language Model Training on GPU Clusters Using
/// Megatron-LM"; rounds other than R = P as PyTorch has them.
///
/// Bubble, F and B of one stage: (P−1)(F+B) a rank, 1/V of 1F1B's; with M < P, (V−1)(P−M)(F+B) more.
///
/// Memory: rank r keeps min(V·M, (V−1)·R + 2(P−1−r) + 1) micro-batches of a stage; at R = P on rank 0 the
/// published P·V·(1 + (P−1)/(P·V)).
///
/// Constraint: max(1, ⌊M/P⌋) rounds of equal length R, such as any multiple of P.
class Interleaved1F1B final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "interleaved_1f1b";
  static constexpr const char* kSummary = "1F1B over several stages a rank; less idle time, more messages";
  static constexpr std::array<caravan_param, 0> kParams{};

  Interleaved1F1B(const Host&, const Config&) {}

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
        std::min(all, (request.stages_per_rank - 1) * order.round() + 2 * (request.ranks - 1 - rank));
    for (int i = 0; i < warm_up; ++i) row.forward(order.forward_stage(rank, i));
    for (int i = 0; i < all; ++i) {
      if (warm_up + i < all) row.forward(order.forward_stage(rank, warm_up + i));
      row.backward(order.backward_stage(rank, i));
    }
    return row.take();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-interleaved_1f1b", CARAVAN_VERSION, "Apache-2.0",
               "Interleaved 1F1B pipeline schedule", caravan::component<caravan::Interleaved1F1B>());
