#include "core/plan/simulate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "caravan/error.hpp"
#include "core/plan/for_each_action.hpp"
#include "core/plan/passes.hpp"
#include "tests/plan/plans.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;

const SimulationCosts kUnit{{{}}};

TEST(Simulate, BubblesOfGPipeAnd1F1BAreTheTextbookOnes) {
  for (int ranks : {1, 2, 3, 4, 8, 16}) {
    for (int microbatches : {16, 17, 32, 64}) {
      const double expected = (ranks - 1.0) / (microbatches + ranks - 1.0);
      const double makespan = 3.0 * (microbatches + ranks - 1);
      for (const Plan& plan : {gpipe(ranks, microbatches), one_f_one_b(ranks, microbatches)}) {
        const Timeline timeline = simulate(plan, kUnit);
        EXPECT_NEAR(timeline.bubble(), expected, 1e-12);
        EXPECT_DOUBLE_EQ(timeline.makespan, makespan);
      }
    }
  }
}

TEST(PeakStashes, AreAllMicroBatchesUnderGPipeAndTheStagesThatFollowUnder1F1B) {
  EXPECT_EQ(peak_stashes(gpipe(4, 8)), (std::vector<int>{8, 8, 8, 8}));
  EXPECT_EQ(peak_stashes(one_f_one_b(4, 8)), (std::vector<int>{4, 3, 2, 1}));
}

TEST(PeakStashes, StayFromFToTheEndOfW) {
  EXPECT_EQ(peak_stashes(plan_of("0F0,0I0,0F1,0I1,0F2,0I2,0W0,0W1,0W2")), std::vector<int>{3});
  EXPECT_EQ(peak_stashes(plan_of("0F0,(0F1;0B0)OVERLAP_F_B,(0F2;0B1)OVERLAP_F_B,0B2")), std::vector<int>{2});
}

TEST(Simulate, EachActionCostsItsOwn) {
  const SimulationCosts costs{{{2, 3, 5}}};
  const Timeline timeline = simulate(plan_of("0F0,0R0,0I0,0W0,0F1,0B1,0REDUCE_GRAD,0RESHARD"), costs);
  const std::vector<double> ends{2, 4, 7, 12, 14, 22, 22, 22};
  for (std::size_t i = 0; i < ends.size(); ++i) EXPECT_DOUBLE_EQ(timeline.spans[0][i].end, ends[i]);
  EXPECT_DOUBLE_EQ(timeline.makespan, 22);
  EXPECT_DOUBLE_EQ(timeline.idle(0), 0);
}

TEST(Simulate, StagesMayDiffer) {
  const SimulationCosts costs{{{1, 1, 1}, {4, 2, 3}}};
  const Timeline timeline = simulate(plan_of("0F0,0B0\n1F0,1I0,1W0"), costs);
  EXPECT_DOUBLE_EQ(timeline.spans[1][0].begin, 1);
  EXPECT_DOUBLE_EQ(timeline.spans[1][2].end, 10);
  EXPECT_DOUBLE_EQ(timeline.spans[0][1].begin, 7);
  EXPECT_DOUBLE_EQ(timeline.idle(0), 7);
  EXPECT_DOUBLE_EQ(timeline.bubble(), 8.0 / 20);
}

TEST(Simulate, MessagesDelayOtherRanksOnly) {
  const SimulationCosts costs{{{}}, 0.5};
  const Timeline between = simulate(plan_of("0F0,0B0\n1F0,1B0"), costs);
  EXPECT_DOUBLE_EQ(between.spans[1][0].begin, 1.5);
  EXPECT_DOUBLE_EQ(between.spans[0][1].begin, 5);
  EXPECT_DOUBLE_EQ(simulate(plan_of("0F0,1F0,1B0,0B0"), costs).makespan, 6);
}

TEST(Simulate, OverlapHidesAShareOfTheShorter) {
  const Plan plan = plan_of("0F0,(0F1;0B0)OVERLAP_F_B,0B1");
  EXPECT_DOUBLE_EQ(simulate(plan, {{{}}, 0, 0}).makespan, 6);
  EXPECT_DOUBLE_EQ(simulate(plan, {{{}}, 0, 0.5}).makespan, 5.5);
  EXPECT_DOUBLE_EQ(simulate(plan, {{{}}, 0, 1}).makespan, 5);
}

TEST(Simulate, AnOverlappedStepWaitsForBothInputs) {
  const Timeline timeline = simulate(plan_of("0F0,0F1,0B0,0B1\n1F0,(1F1;1B0)OVERLAP_F_B,1B1"), {{{}}, 0, 0});
  EXPECT_DOUBLE_EQ(timeline.spans[1][1].begin, 2);
  const Timeline late = simulate(plan_of("0F0,0F1,0B0,0B1\n1F0,(1F1;1B0)OVERLAP_F_B,1B1"), {{{}}, 3, 0});
  EXPECT_DOUBLE_EQ(late.spans[1][0].begin, 4);
  EXPECT_DOUBLE_EQ(late.spans[1][1].begin, 5);
}

TEST(Simulate, LoweringChangesNoTimes) {
  std::mt19937 random(8);
  for (int i = 0; i < 100; ++i) {
    const Plan plan = random_plan(random);
    const SimulationCosts costs{{{1.5, 2, 0.5}}, 0.25};
    const Timeline lowered = simulate(place_communication(place_reduction(place_unshard(plan))), costs);
    EXPECT_DOUBLE_EQ(lowered.makespan, simulate(plan, costs).makespan);
    EXPECT_NEAR(lowered.bubble(), simulate(plan, costs).bubble(), 1e-12);
  }
}

/// End of what each action waits for, found by looking it up by name.
double earliest_begin(const Plan& plan, std::size_t rank, std::size_t i,
                      const std::map<std::string, double>& ends, const Timeline& timeline) {
  double begin = i == 0 ? 0 : timeline.spans[rank][i - 1].end;
  const auto wait_for = [&](const Action& action) {
    const auto end = ends.find(to_string(action));
    if (end != ends.end()) begin = std::max(begin, end->second);
  };
  const Action& action = plan.steps[rank][i].action;
  if (action.kind == ActionKind::forward) wait_for(forward(action.stage - 1, action.microbatch));
  if (action.kind == ActionKind::backward || action.kind == ActionKind::backward_input) {
    wait_for(backward(action.stage + 1, action.microbatch));
    wait_for({action.stage + 1, ActionKind::backward_input, action.microbatch});
  }
  return begin;
}

TEST(Simulate, EveryStepOfRandomPlansRunsAsEarlyAsItCanAndNoEarlier) {
  std::mt19937 random(9);
  for (int i = 0; i < 200; ++i) {
    const Plan plan = random_plan(random);
    const Timeline timeline = simulate(plan, {{{1, 2, 3}}});
    std::map<std::string, double> ends;
    for_each_action(plan, [&](int rank, std::size_t step, const Action& action) {
      ends[to_string(action)] = timeline.spans[static_cast<std::size_t>(rank)][step].end;
    });
    for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
      for (std::size_t step = 0; step < plan.steps[rank].size(); ++step)
        ASSERT_DOUBLE_EQ(timeline.spans[rank][step].begin, earliest_begin(plan, rank, step, ends, timeline));
    }
  }
}

TEST(Simulate, RefusesADeadlockAndCostsOfOtherStages) {
  EXPECT_THAT(message_of<ConfigError>([] { simulate(plan_of("0F0,0B0,0F1,0B1\n1F1,1B1,1F0,1B0"), kUnit); }),
              HasSubstr("Stuck: rank 0, step 2 (0B0)"));
  EXPECT_EQ(message_of<ConfigError>([] {
              simulate(plan_of("0F0,0B0"), {{{}, {}}});
            }),
            "costs of 2 stages (the plan has 1)");
}

}  // namespace
}  // namespace caravan::test
