#include "core/plan/check_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "caravan/error.hpp"
#include "core/plan/passes.hpp"
#include "tests/plan/plans.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::test {
namespace {

using caravan::testing::message_of;
using ::testing::HasSubstr;

std::string refusal(const std::string& csv, int microbatches) {
  return message_of<ConfigError>([&] { check(plan_of(csv), microbatches); });
}

std::string refusal_of_messages(const std::string& csv) {
  return message_of<ConfigError>([&] { check_communication(plan_of(csv)); });
}

TEST(PlanCheck, GivesThePlacement) {
  const Placement placement = check(plan_of("0F0,3F0,3B0,0B0\n1F0,2F0,2B0,1B0"), 1);
  EXPECT_EQ(placement.rank_of, (std::vector<int>{0, 1, 1, 0}));
  EXPECT_EQ(placement.stages_of, (std::vector<std::vector<int>>{{0, 3}, {1, 2}}));
  EXPECT_TRUE(placement.same_rank(1, 2));
  EXPECT_FALSE(placement.same_rank(0, 1));
}

TEST(PlanCheck, AcceptsRandomValidPlansAndWhatThePassesMakeOfThem) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const Plan plan = random_plan(random);
    const int microbatches = microbatches_in(plan);
    const Placement placement = check(plan, microbatches);
    const std::vector<bool> all(static_cast<std::size_t>(placement.stages()), true);
    const Plan lowered =
        place_communication(place_reduction(place_unshard(place_recomputation(merge_backward(plan), all))));
    EXPECT_EQ(check(lowered, microbatches).rank_of, placement.rank_of);
    EXPECT_NO_THROW(check_communication(lowered));
  }
}

TEST(PlanCheck, EveryActionIsNeeded) {
  std::mt19937 random(4);
  for (int i = 0; i < 100; ++i) {
    Plan plan = random_plan(random);
    const int microbatches = microbatches_in(plan);
    auto& row = plan.steps[random() % plan.steps.size()];
    if (row.size() < 2) continue;
    row.erase(row.begin() + static_cast<std::ptrdiff_t>(random() % row.size()));
    EXPECT_THROW(check(plan, microbatches), ConfigError) << to_csv(plan);
  }
}

TEST(PlanCheck, ADoubledActionIsNamed) {
  EXPECT_EQ(refusal("0F0,0F0,0B0", 1), "rank 0, step 2 (0F0): 0F0 is done twice");
  EXPECT_THAT(refusal("0F0,0B0,0B0", 1), HasSubstr("rank 0, step 3 (0B0): 0B0 is done twice"));
  EXPECT_THAT(refusal("0F0,0I0,0W0,0W0", 1), HasSubstr("rank 0, step 4 (0W0): 0W0 is done twice"));
  EXPECT_THAT(refusal("0F0,0R0,0R0,0B0", 1), HasSubstr("step 3 (0R0): 0R0 is done twice"));
  EXPECT_THAT(refusal("0F0,0B0,0REDUCE_GRAD,0REDUCE_GRAD", 1), HasSubstr("step 4 (0REDUCE_GRAD)"));
}

TEST(PlanCheck, AMissingActionIsNamed) {
  EXPECT_THAT(refusal("0F0,0B0,0F1,0B1\n1F1,1B1", 2), HasSubstr("rank 1 lacks 1F0"));
  EXPECT_THAT(refusal("0F0,0F1,0B1", 2), HasSubstr("rank 0 lacks 0B0"));
  EXPECT_THAT(refusal("0F0,0I0", 1), HasSubstr("rank 0 lacks 0W0"));
  EXPECT_THAT(refusal("0F0,0B0", 3), HasSubstr("rank 0 lacks 0F1"));
  EXPECT_THAT(refusal("0F0,0B0\n2F0,2B0", 1), HasSubstr("stage 1 has no forward"));
  EXPECT_THAT(refusal("0B0", 1), HasSubstr("the plan has no forward"));
  EXPECT_THAT(refusal("0F0,0B0\n\n1F0,1B0", 1), HasSubstr("rank 1 has nothing to do"));
}

TEST(PlanCheck, WrongOrderInARowIsNamed) {
  EXPECT_THAT(refusal("0B0,0F0", 1), HasSubstr("rank 0, step 1 (0B0): 0B0 is out of order"));
  EXPECT_THAT(refusal("0F0,0W0,0I0", 1), HasSubstr("step 2 (0W0): 0W0 is out of order (it comes after I"));
  EXPECT_THAT(refusal("0F0,0I0,0B0", 1), HasSubstr("step 3 (0B0): 0B0 is out of order"));
  EXPECT_THAT(refusal("0F0,0B0,0W0", 1), HasSubstr("step 3 (0W0): 0W0 is out of order"));
  EXPECT_THAT(refusal("0F0,0B0,0R0", 1), HasSubstr("step 3 (0R0): 0R0 is out of order"));
  EXPECT_THAT(refusal("0F0,0F1,0B0,0REDUCE_GRAD,0B1", 2),
              HasSubstr("1 of 2 micro-batches have their gradients"));
}

TEST(PlanCheck, AnOverlappedPairIsAForwardAndABackwardOfDifferentCells) {
  EXPECT_NO_THROW(check(plan_of("0F0,(0F1;0B0)OVERLAP_F_B,0B1"), 2));
  EXPECT_THAT(refusal("(0F0;0B0)OVERLAP_F_B", 1),
              HasSubstr("step 1 ((0F0;0B0)OVERLAP_F_B): 0B0 is out of order"));
  EXPECT_THAT(refusal("(0F0;0F1)OVERLAP_F_B,0B0,0B1", 2), HasSubstr("a forward and a backward overlap"));
  EXPECT_THAT(refusal("0F0,0F1,0I0,(0B1;0W0)OVERLAP_F_B", 2), HasSubstr("a forward and a backward overlap"));
}

TEST(PlanCheck, AStageStandsOnOneRank) {
  EXPECT_THAT(refusal("0F0,0B0\n0F1,0B1", 2), HasSubstr("rank 1: 0F1 (stage 0 is on rank 0"));
  EXPECT_THAT(refusal("0F0\n1F0,1B0,0B0", 1), HasSubstr("rank 1, step 3 (0B0): the forwards of stage 0"));
}

TEST(PlanCheck, MicroBatchesAreInRange) {
  EXPECT_THAT(refusal("0F0,0B0,0F7,0B7", 2), HasSubstr("rank 0, step 3 (0F7): micro-batch 7 (there are 2"));
  EXPECT_THAT(refusal("0F0,0B0", 0), HasSubstr("0 micro-batches"));
}

TEST(PlanCheck, NonsenseOfAPluginIsRefusedBeforeMemoryIsTaken) {
  const auto refusal_of = [](const Plan& plan, int microbatches) {
    return message_of<ConfigError>([&] { check(plan, microbatches); });
  };
  EXPECT_THAT(refusal_of(Plan{}, 1), HasSubstr("the plan has no ranks"));
  EXPECT_THAT(refusal_of(Plan{{{{forward(-1, 0), {}}}}}, 1), HasSubstr("stage -1"));
  EXPECT_THAT(refusal_of(Plan{{{{forward(2000000000, 0), {}}}}}, 1), HasSubstr("stage 2000000000"));
  EXPECT_THAT(refusal_of(Plan{{{{forward(0, -5), {}}}}}, 1), HasSubstr("micro-batch -5"));
  EXPECT_THAT(refusal_of(Plan{{{{forward(0, 0), {}}, {backward(0, 0), {}}}}}, 2000000000),
              HasSubstr("rank 0 lacks 0F1"));
}

TEST(PlanCheck, ADeadlockNamesTheStuckActionOfEachRank) {
  const std::string text = refusal("0F0,0B0,0F1,0B1\n1F1,1B1,1F0,1B0", 2);
  EXPECT_EQ(text,
            "deadlock: every rank waits for another. Stuck: rank 0, step 2 (0B0); rank 1, step 1 (1F1)");
}

TEST(PlanCheck, RanksThatAreDoneAreNotStuck) {
  const std::string text = refusal("0F0,0F1,0B0,0B1\n2F0,2F1,2B1,1F0,1F1,2B0,1B0,1B1", 2);
  EXPECT_THAT(text, HasSubstr("rank 0, step 3 (0B0); rank 1, step 1 (2F0)"));
}

TEST(CommunicationCheck, SendsAndReceivesMeet) {
  EXPECT_NO_THROW(check_communication(plan_of("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0")));
}

TEST(CommunicationCheck, BlockingSendsThatCrossAreADeadlock) {
  const std::string text = refusal_of_messages(
      "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n"
      "1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1");
  EXPECT_THAT(text, HasSubstr("Stuck: rank 0, step 4 (0SEND_F1); rank 1, step 4 (1SEND_B0)"));
}

TEST(CommunicationCheck, MessagesThatMakeNoSenseAreNamed) {
  EXPECT_THAT(refusal_of_messages("0F0,0B0\n1F0,1B0"),
              HasSubstr("rank 1, step 1 (1F0): what it reads has not"));
  EXPECT_THAT(refusal_of_messages("0SEND_F0,0F0,0B0\n1RECV_F0,1F0,1B0"),
              HasSubstr("it sends what has not been made"));
  EXPECT_THAT(refusal_of_messages("0F0,0SEND_B0"), HasSubstr("there is no such stage"));
  EXPECT_THAT(refusal_of_messages("0F0,0SEND_F0,1F0"), HasSubstr("both stages are on this rank"));
  EXPECT_THAT(refusal_of_messages("1F0,0F0"), HasSubstr("what it reads is made later"));
  EXPECT_THAT(refusal_of_messages("0F0,0SEND_F0,0SEND_F0\n1RECV_F0,1RECV_F0,1F0"),
              HasSubstr("has gone before"));
}

}  // namespace
}  // namespace caravan::test
