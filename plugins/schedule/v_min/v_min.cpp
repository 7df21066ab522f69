#include <array>

#include "caravan/plugin.hpp"
#include "caravan/v_block.hpp"

namespace caravan {
namespace {

/// Building block with all offsets 1: a micro-batch leaves as early as it can. When 3 divides P, the first I
/// comes 2 later: else passes would collide.
///
/// Source: Qi et al. 2024, "Pipeline Parallelism with Controllable Memory", V-Min.
///
/// Bubble, F = I = W = 1 of one stage: 4P−5 a rank, 4P−3 when 3 divides P and M > 1 (P = 1: 0). Published:
/// two thirds of 1F1B's, which is 6(P−1) in this unit, and a constant. Unequal times cost this schedule more
/// than others: its block has no turn to spare.
///
/// Memory: a rank keeps at most min(2M, 2⌈(P+2)/3⌉) micro-batches of a stage: ⌈(P+2)/3⌉ of its share of the
/// model. Published: about P/3, 1F1B: P.
///
/// Constraint: none.
class VMin final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "v_min";
  static constexpr const char* kSummary =
      "A third of 1F1B's memory at two thirds of its bubble, two stages a rank in a V";
  static constexpr std::array<caravan_param, 0> kParams{};

  VMin(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kTwoStages; }

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    const VBlock block{.forward_down = 1,
                       .forward_turn = 1,
                       .forward_up = 1,
                       .loss_turn = request.ranks % 3 == 0 ? 3 : 1,
                       .backward_down = 1,
                       .backward_turn = 1,
                       .backward_up = 1};
    const int most_stashes = 2 * ((request.ranks + 4) / 3);
    return VBlockRepetition(block, request, most_stashes).plan();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-v_min", CARAVAN_VERSION, "Apache-2.0",
               "Pipeline schedule with controllable memory, V-Min", caravan::component<caravan::VMin>());
