#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "tests/plan/plans.hpp"

namespace caravan::test {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& csv) {
  try {
    parse_schedule_csv(csv, "some.csv");
  } catch (const ConfigError& error) {
    return error.message();
  }
  return "";
}

TEST(ScheduleCsv, ReadsEveryKind) {
  const Plan plan =
      plan_of("0F1,0I2,0W3,0B4,0R5,1SEND_F6,1RECV_F7,1SEND_B8,1RECV_B9,2UNSHARD,2RESHARD,2REDUCE_GRAD\n");
  ASSERT_EQ(plan.ranks(), 1);
  ASSERT_EQ(plan.steps[0].size(), 12U);
  for (int kind = 0; kind < 12; ++kind) {
    const Action& action = plan.steps[0][static_cast<std::size_t>(kind)].action;
    EXPECT_EQ(action.kind, static_cast<ActionKind>(kind));
    EXPECT_EQ(action.microbatch, kind < 9 ? kind + 1 : kNoMicrobatch);
    EXPECT_EQ(action.stage, kind < 5 ? 0 : kind < 9 ? 1 : 2);
  }
}

TEST(ScheduleCsv, ReadsTheLongNamesOfPyTorch) {
  EXPECT_EQ(plan_of("0FORWARD0,0BACKWARD_INPUT0,0BACKWARD_WEIGHT0,0FULL_BACKWARD1"),
            plan_of("0F0,0I0,0W0,0B1"));
}

TEST(ScheduleCsv, ReadsOverlap) {
  const Plan plan = plan_of("(0F7;7B3)OVERLAP_F_B, ( 0F8 ; 7B4 ) OVERLAP_F_B");
  ASSERT_EQ(plan.steps[0].size(), 2U);
  EXPECT_EQ(plan.steps[0][0], (Step{forward(0, 7), backward(7, 3)}));
  EXPECT_EQ(plan.steps[0][1], (Step{forward(0, 8), backward(7, 4)}));
}

TEST(ScheduleCsv, IdleCellsAndSpacesAndLineEndsDoNotMatter) {
  EXPECT_EQ(plan_of("\xEF\xBB\xBF,, 0F0 ,\t0B0,,\r\n,1F0,,1B0\r\n\r\n\n"), plan_of("0F0,0B0\n1F0,1B0"));
}

TEST(ScheduleCsv, ARowWithoutActionsBetweenOthersIsARank) {
  const Plan plan = plan_of("0F0\n\n1F0\n");
  ASSERT_EQ(plan.ranks(), 3);
  EXPECT_TRUE(plan.steps[1].empty());
}

TEST(ScheduleCsv, WritesWhatItReads) {
  const std::string text = "0F0,(0F1;1B0)OVERLAP_F_B,0REDUCE_GRAD\n2R12,2SEND_B3\n";
  EXPECT_EQ(to_csv(plan_of(text)), text);
  EXPECT_EQ(to_csv(Plan{{{}, {{forward(0, 0), {}}}}}), "\n0F0\n");
}

TEST(ScheduleCsv, RandomPlansComeBack) {
  std::mt19937 random(1);
  for (int i = 0; i < 100; ++i) {
    const Plan plan = random_plan(random);
    EXPECT_EQ(plan_of(to_csv(plan)), plan);
  }
}

TEST(ScheduleCsv, ABadCellIsNamedByFileRowAndColumn) {
  EXPECT_THAT(error_of("0F0\n1F0,,1X1\n"), HasSubstr("some.csv: row 2, column 3: '1X1' is no action"));
  EXPECT_THAT(error_of("F0"), HasSubstr("row 1, column 1: 'F0' is no action (it lacks the stage)"));
  EXPECT_THAT(error_of("0F"), HasSubstr("it lacks the micro-batch"));
  EXPECT_THAT(error_of("-1F0"), HasSubstr("it lacks the stage"));
  EXPECT_THAT(error_of("0F-1"), HasSubstr("its kind is none of"));
  EXPECT_THAT(error_of("0F1x"), HasSubstr("something follows"));
  EXPECT_THAT(error_of("0UNSHARD3"), HasSubstr("it has no micro-batch"));
  EXPECT_THAT(error_of("0f1"), HasSubstr("its kind is none of"));
  EXPECT_THAT(error_of("7"), HasSubstr("its kind is none of"));
}

TEST(ScheduleCsv, ABadOverlapIsNamed) {
  EXPECT_THAT(error_of("(0F1;1B0"), HasSubstr("no closing parenthesis"));
  EXPECT_THAT(error_of("(0F1;1B0)"), HasSubstr("OVERLAP_F_B must follow"));
  EXPECT_THAT(error_of("(0F1;1B0;1B1)OVERLAP_F_B"), HasSubstr("more than two actions overlap"));
  EXPECT_THAT(error_of("(0F1)OVERLAP_F_B"), HasSubstr("it lacks the stage"));
  EXPECT_THAT(error_of("()OVERLAP_F_B"), HasSubstr("it lacks the stage"));
  EXPECT_THAT(error_of("((0F1;1B0)OVERLAP_F_B;1B0)OVERLAP_F_B"), HasSubstr("OVERLAP_F_B must follow"));
}

TEST(ScheduleCsv, NumbersAreBounded) {
  EXPECT_EQ(plan_of("1048575F1048575").steps[0][0].action.stage, 1048575);
  EXPECT_THAT(error_of("1048576F0"), HasSubstr("the stage must be less than 1048576"));
  EXPECT_THAT(error_of("0F99999999999999999999"), HasSubstr("the micro-batch must be less than 1048576"));
}

TEST(ScheduleCsv, TheWholeIsBounded) {
  EXPECT_THAT(error_of(""), HasSubstr("some.csv: no action"));
  EXPECT_THAT(error_of(" ,\n,,\n"), HasSubstr("no action"));
  EXPECT_THAT(error_of(std::string(65537, '\n')), HasSubstr("more than 65536 rows"));
  EXPECT_THAT(error_of(std::string((64U << 20) + 1, ',')), HasSubstr("a schedule has at most 67108864"));
}

TEST(ScheduleCsv, HostileCellsAreShownSafely) {
  const std::string message = error_of("\x1b[31m" + std::string(5000, 'A'));
  EXPECT_THAT(message, HasSubstr("\\u001b"));
  EXPECT_LT(message.size(), 400U);
}

TEST(ScheduleCsv, RandomBytesAreReadOrRefused) {
  std::mt19937 random(2);
  const std::string letters = "0123FIWB();,\nOVERLAP_F_BSEND_";
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int j = 0; j < 20; ++j) text += letters[random() % letters.size()];
    refused += error_of(text).empty() ? 0 : 1;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace caravan::test
