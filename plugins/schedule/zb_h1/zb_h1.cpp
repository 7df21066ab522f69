#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// 1F1B with B apart into I, which the rank before waits for, and W, which nobody does. Rank r runs W r
/// micro-batches late: every rank keeps as many micro-batches as the first one of 1F1B, and has W left to
/// fill the end.
///
/// Source: Qi et al. 2023, "Zero Bubble Pipeline Parallelism", ZB-H1.
///
/// Bubble: (P−1)(F+I−W) on rank 0, the longest of all, when M ≥ P and W ≤ F, I. With fewer, P−1 + P−M at F =
/// I = W = 1.
///
/// Memory: a rank keeps min(M, P) micro-batches.
///
/// Constraint: none.
class ZbH1 final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "zb_h1";
  static constexpr const char* kSummary = "Zero bubble H1: 1F1B's memory, a third of its bubble";
  static constexpr std::array<caravan_param, 0> kParams{};

  ZbH1(const Host&, const Config&) {}

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) {
      return split_backward_row(rank, request, {.warm_up = request.ranks - rank, .late = rank});
    });
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-zb_h1", CARAVAN_VERSION, "Apache-2.0",
               "Handcrafted zero-bubble pipeline schedule H1", caravan::component<caravan::ZbH1>());
