#include <array>

#include "caravan/plugin.hpp"
#include "caravan/schedule_rows.hpp"

namespace caravan {
namespace {

/// As zb_h1, but with so many forwards in the warm-up, 2(P−r)−1, that no rank waits for its first I, and W so
/// late, 2r micro-batches, that none waits at the end.
///
/// Source: Qi et al. 2023, "Zero Bubble Pipeline Parallelism", ZB-H2.
///
/// Bubble: (P−1)(F+I−2W) between a rank's first and last action, so none at F = I = W, when M ≥ 2P−1
/// and W ≤ F, I. Rank r
/// works from r·F on, so from the first action of all ranks to the last 3M + P−1 pass; with fewer
/// micro-batches ⌊(2P−1−M)/2⌋ more. An optimizer that waits for all ranks waits that long.
///
/// Memory: a rank keeps min(M, 2P−1) micro-batches.
///
/// Constraint: none.
class ZbH2 final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "zb_h2";
  static constexpr const char* kSummary = "Zero bubble H2: no idle time, twice 1F1B's memory";
  static constexpr std::array<caravan_param, 0> kParams{};

  ZbH2(const Host&, const Config&) {}

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    return plan_of_rows(request.ranks, [&](int rank) {
      return split_backward_row(rank, request, {.warm_up = 2 * (request.ranks - rank) - 1, .late = 2 * rank});
    });
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-zb_h2", CARAVAN_VERSION, "Apache-2.0",
               "Handcrafted zero-bubble pipeline schedule H2", caravan::component<caravan::ZbH2>());
