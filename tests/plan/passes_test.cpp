#include "core/plan/passes.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "caravan/error.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/for_each_action.hpp"
#include "tests/plan/plans.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;

TEST(MergeBackward, JoinsNeighboursOfOneStageAndMicroBatchOnly) {
  EXPECT_EQ(to_csv(merge_backward(plan_of("0F0,0I0,0W0,0F1,0I1,0F2,0W1,0I2,0W2"))),
            "0F0,0B0,0F1,0I1,0F2,0W1,0B2\n");
  EXPECT_EQ(to_csv(merge_backward(plan_of("0I0,1W0,0I1,0W0"))), "0I0,1W0,0I1,0W0\n");
}

TEST(MergeBackward, LeavesOverlappedOnesAlone) {
  const std::string text = "(0F1;0I0)OVERLAP_F_B,0W0\n";
  EXPECT_EQ(to_csv(merge_backward(plan_of(text))), text);
}

TEST(PlaceRecomputation, GoesBeforeTheFirstBackward) {
  const Plan plan = plan_of("0F0,0F1,0I0,0W0,0B1\n1F0,1F1,1B0,1B1");
  EXPECT_EQ(to_csv(place_recomputation(plan, {true, false})),
            "0F0,0F1,0R0,0I0,0W0,0R1,0B1\n1F0,1F1,1B0,1B1\n");
  EXPECT_EQ(place_recomputation(plan, {false, false}), plan);
}

TEST(PlaceRecomputation, GoesBeforeAnOverlappedBackward) {
  EXPECT_EQ(to_csv(place_recomputation(plan_of("0F0,(0F1;0B0)OVERLAP_F_B,0B1"), {true})),
            "0F0,0R0,(0F1;0B0)OVERLAP_F_B,0R1,0B1\n");
}

TEST(PlaceRecomputation, DoublesNothingThatTheScheduleHasPlaced) {
  const Plan plan = plan_of("0F0,0R0,0F1,0B0,0R1,0B1");
  EXPECT_EQ(place_recomputation(plan, {true}), plan);
}

TEST(PlaceRecomputation, WantsAnAnswerForEachStage) {
  EXPECT_EQ(message_of<ConfigError>([] {
              place_recomputation(plan_of("0F0,0B0"), {true, true});
            }),
            "recomputation is said for 2 stages (the plan has 1)");
}

TEST(PlaceReduction, ComesAfterTheLastGradientOfAStage) {
  EXPECT_EQ(to_csv(place_reduction(plan_of("0F0,1F0,1I0,1W0,0B0"))),
            "0F0,1F0,1I0,1W0,1REDUCE_GRAD,0B0,0REDUCE_GRAD\n");
  EXPECT_EQ(to_csv(place_reduction(plan_of("0F0,(1F0;0B0)OVERLAP_F_B,1B0"))),
            "0F0,(1F0;0B0)OVERLAP_F_B,0REDUCE_GRAD,1B0,1REDUCE_GRAD\n");
}

TEST(PlaceReduction, LeavesWhatTheScheduleHasPlaced) {
  const Plan plan = plan_of("0F0,0B0,0REDUCE_GRAD");
  EXPECT_EQ(place_reduction(plan), plan);
}

TEST(PlaceUnshard, LooksAheadForAWindowOfStages) {
  EXPECT_EQ(to_csv(place_unshard(plan_of("0F0,1F0,2F0,3F0,3B0,2B0,1B0,0B0"), 2)),
            "0UNSHARD,1UNSHARD,0F0,0RESHARD,2UNSHARD,1F0,1RESHARD,3UNSHARD,2F0,3F0,3B0,3RESHARD,1UNSHARD,2B0,"
            "2RESHARD,0UNSHARD,1B0,1RESHARD,0B0,0RESHARD\n");
}

/// The rule as PyTorch states it: looks ahead from every step anew.
std::vector<int> next_stages(const std::vector<Step>& row, std::size_t from, std::size_t count) {
  std::vector<int> stages;
  for (std::size_t i = from; i < row.size() && stages.size() < count; ++i) {
    for_each_action(row[i], [&](const Action& action) {
      if (std::find(stages.begin(), stages.end(), action.stage) == stages.end())
        stages.push_back(action.stage);
    });
  }
  return stages;
}

std::vector<Step> unsharded_slowly(const std::vector<Step>& row, int window) {
  std::vector<Step> placed;
  std::set<int> active;
  for (std::size_t i = 0; i <= row.size(); ++i) {
    const auto next = next_stages(row, i, static_cast<std::size_t>(window));
    const std::set<int> wanted(next.begin(), next.end());
    for (int stage : active) {
      if (wanted.count(stage) == 0) placed.push_back({{stage, ActionKind::reshard, kNoMicrobatch}, {}});
    }
    for (int stage : next) {
      if (active.count(stage) == 0) placed.push_back({{stage, ActionKind::unshard, kNoMicrobatch}, {}});
    }
    active = wanted;
    if (i < row.size()) placed.push_back(row[i]);
  }
  return placed;
}

TEST(PlaceUnshard, EqualsTheRuleStatedSlowly) {
  std::mt19937 random(5);
  for (int i = 0; i < 500; ++i) {
    Plan plan;
    std::vector<Step>& row = plan.steps.emplace_back();
    for (int j = 0; j < 30; ++j) {
      Step step{forward(static_cast<int>(random() % 6), j), {}};
      if (random() % 3 == 0) step.overlapped = backward(static_cast<int>(random() % 6), j);
      row.push_back(step);
    }
    const int window = 1 + static_cast<int>(random() % 4);
    ASSERT_EQ(to_csv(place_unshard(plan, window)), to_csv(Plan{{unsharded_slowly(row, window)}}));
  }
}

TEST(PlaceCommunication, TheSenderDecidesWhereTheReceiveStands) {
  EXPECT_EQ(to_csv(place_communication(plan_of("0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1"))),
            "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
            "1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n");
}

TEST(PlaceCommunication, StagesOfOneRankNeedNoMessages) {
  EXPECT_EQ(to_csv(place_communication(plan_of("0F0,1F0,1B0,0B0"))), "0F0,1F0,1B0,0B0\n");
}

TEST(PlaceCommunication, NoOrderNoMessages) {
  EXPECT_THAT(
      message_of<ConfigError>([] { place_communication(plan_of("0F0,0B0,0F1,0B1\n1F1,1B1,1F0,1B0")); }),
      ::testing::HasSubstr("Stuck: rank 0, step 2 (0B0); rank 1, step 1 (1F1)"));
}

/// The sweeps as PyTorch makes them: every rank is looked at in every sweep.
Plan lowered_slowly(const Plan& plan) {
  const Placement placement = placement_of(plan);
  Plan lowered{std::vector<std::vector<Step>>(plan.steps.size())};
  std::set<std::string> there;
  std::vector<std::size_t> next(plan.steps.size());
  const auto rank_of = [&](int stage) {
    return static_cast<std::size_t>(placement.rank_of[static_cast<std::size_t>(stage)]);
  };
  const auto is_ready = [&](const Action& action) {
    const std::string cell = std::to_string(action.stage) + "." + std::to_string(action.microbatch);
    if (action.kind == ActionKind::forward) return action.stage == 0 || there.count("f" + cell) == 1;
    return action.kind == ActionKind::backward_weight || action.stage + 1 == placement.stages() ||
           there.count("b" + cell) == 1;
  };
  const auto hand_on = [&](std::size_t rank, const Action& action) {
    const bool is_forward = action.kind == ActionKind::forward;
    const int reader = action.stage + (is_forward ? 1 : -1);
    if (action.kind == ActionKind::backward_weight || reader < 0 || reader == placement.stages()) return;
    there.insert((is_forward ? "f" : "b") + std::to_string(reader) + "." + std::to_string(action.microbatch));
    if (rank_of(reader) == rank) return;
    const auto send = is_forward ? ActionKind::send_forward : ActionKind::send_backward;
    const auto receive = is_forward ? ActionKind::receive_forward : ActionKind::receive_backward;
    lowered.steps[rank].push_back({{action.stage, send, action.microbatch}, {}});
    lowered.steps[rank_of(reader)].push_back({{reader, receive, action.microbatch}, {}});
  };
  for (bool progress = true; progress;) {
    progress = false;
    for (std::size_t rank = 0; rank < next.size(); ++rank) {
      if (next[rank] == plan.steps[rank].size()) continue;
      const Step& step = plan.steps[rank][next[rank]];
      if (!is_ready(step.action)) continue;
      lowered.steps[rank].push_back(step);
      hand_on(rank, step.action);
      ++next[rank];
      progress = true;
    }
  }
  return lowered;
}

TEST(PlaceCommunication, EqualsTheSweepsDoneSlowly) {
  std::mt19937 random(6);
  for (int i = 0; i < 300; ++i) {
    const Plan plan = random_plan(random);
    ASSERT_EQ(to_csv(place_communication(plan)), to_csv(lowered_slowly(plan)));
  }
}

TEST(ComputeOnly, TakesOffWhatThePassesAdd) {
  std::mt19937 random(7);
  for (int i = 0; i < 100; ++i) {
    const Plan plan = random_plan(random);
    EXPECT_EQ(compute_only(place_communication(place_reduction(place_unshard(plan)))), plan);
  }
}

}  // namespace
}  // namespace caravan::test
