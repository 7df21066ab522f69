#include <array>

#include "caravan/plugin.hpp"
#include "caravan/v_block.hpp"

namespace caravan {
namespace {

/// Building block with offsets of 1 down and 2 up the ranks. When P is even, the way back turns 3 later: else
/// passes would collide.
///
/// Source: Qi et al. 2024, "Pipeline Parallelism with Controllable Memory", V-Half.
///
/// Bubble, F = I = W = 1 of one stage: max(3P−4, 4P−3−2M) a rank (P = 1: 0, P = 2: 3). Published: half of
/// 1F1B's, which is 6(P−1) in this unit; this is one less.
///
/// Memory: a rank keeps at most min(2M, 2⌈(P+1)/2⌉) micro-batches of a stage: ⌈(P+1)/2⌉ of its share of the
/// model. Published: about P/2, 1F1B: P.
///
/// Constraint: none.
class VHalf final : public Schedule {
 public:
  using Interface = Schedule;
  static constexpr const char* kName = "v_half";
  static constexpr const char* kSummary =
      "Half of 1F1B's memory at half of its bubble, two stages a rank in a V";
  static constexpr std::array<caravan_param, 0> kParams{};

  VHalf(const Host&, const Config&) {}

  StagesPerRank stages_per_rank() const override { return kTwoStages; }

  Plan build(const PlanRequest& request) const override {
    check_request(request, stages_per_rank(), kName);
    const VBlock block{.forward_down = 1,
                       .forward_turn = 1,
                       .forward_up = 2,
                       .loss_turn = 1,
                       .backward_down = 1,
                       .backward_turn = request.ranks % 2 == 0 ? 5 : 2,
                       .backward_up = 2};
    const int most_stashes = 2 * ((request.ranks + 2) / 2);
    return VBlockRepetition(block, request, most_stashes).plan();
  }
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("schedule-v_half", CARAVAN_VERSION, "Apache-2.0",
               "Pipeline schedule with controllable memory, V-Half", caravan::component<caravan::VHalf>());
