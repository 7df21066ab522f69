#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/schedules/schedules.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> rows_of(const std::string& name, const PlanRequest& request) {
  std::vector<std::string> rows;
  for (const auto& row : plan_of(name, request).steps) rows.push_back(text_of(row));
  return rows;
}

TEST(ScheduleRows, GpipeRunsAllForwardsFirst) {
  EXPECT_THAT(rows_of("gpipe", {.ranks = 2, .microbatches = 2}),
              ElementsAre("0F0,0F1,0B0,0B1,0REDUCE_GRAD", "1F0,1F1,1B0,1B1,1REDUCE_GRAD"));
}

TEST(ScheduleRows, OneForwardOneBackwardAlternatesAfterTheWarmUp) {
  EXPECT_THAT(rows_of("1f1b", {.ranks = 2, .microbatches = 3}),
              ElementsAre("0F0,0F1,0B0,0F2,0B1,0B2,0REDUCE_GRAD", "1F0,1B0,1F1,1B1,1F2,1B2,1REDUCE_GRAD"));
}

TEST(ScheduleRows, InterleavedOneForwardOneBackward) {
  EXPECT_THAT(rows_of("interleaved_1f1b", {.ranks = 2, .microbatches = 4, .stages_per_rank = 2}),
              ElementsAre("0F0,0F1,2F0,2F1,0F2,2B0,0F3,2B1,2F2,0B0,2F3,0B1,2B2,2B3,0B2,0B3",
                          "1F0,1F1,3F0,3B0,3F1,3B1,1F2,1B0,1F3,1B1,3F2,3B2,3F3,3B3,1B2,1B3"));
}

TEST(ScheduleRows, InterleavedZeroBubbleOfPyTorchsOwnTests) {
  EXPECT_EQ(
      rows_of("interleaved_zero_bubble", {.ranks = 2, .microbatches = 8, .stages_per_rank = 2})[0],
      "0F0,0F1,2F0,2F1,2I0,2W0,0F2,2I1,2W1,0F3,0I0,0W0,2F2,0I1,0W1,2F3,2I2,2W2,0F4,2I3,2W3,0F5,0I2,0W2,"
      "2F4,0I3,0W3,2F5,2I4,2W4,0F6,2I5,2W5,0F7,0I4,0W4,2F6,0I5,0W5,2F7,2I6,2W6,2I7,2W7,0I6,0W6,0I7,0W7");
}

TEST(ScheduleRows, LoopedBfsComesBackLastMicrobatchFirst) {
  EXPECT_THAT(rows_of("looped_bfs", {.ranks = 1, .microbatches = 2, .stages_per_rank = 2}),
              ElementsAre("0F0,0F1,1F0,1F1,1B1,1B0,0B1,0B0"));
}

TEST(ScheduleRows, ZbvTurnsOnTheLastRank) {
  EXPECT_THAT(
      rows_of("zbv", {.ranks = 2, .microbatches = 4, .stages_per_rank = 2}),
      ElementsAre("0F0,0F1,0F2,3F0,3I0,3W0,3F1,3I1,3W1,0F3,0I0,0W0,3F2,3I2,3W2,0I1,0W1,3F3,3I3,3W3,0I2,"
                  "0W2,0I3,0W3",
                  "1F0,2F0,1F1,2F1,2I0,2W0,1F2,1I0,1W0,2F2,2I1,2W1,1F3,1I1,1W1,2F3,2I2,2W2,1I2,2I3,1I3,"
                  "1W2,2W3,1W3"));
}

TEST(ScheduleRows, DualPipeVOverlapsForwardAndBackward) {
  EXPECT_THAT(rows_of("dualpipev", {.ranks = 2, .microbatches = 4, .stages_per_rank = 2}),
              ElementsAre("0F0,0F1,0F2,3F0,3I0,3W0,3F1,(0F3;3B1)OVERLAP_F_B,(3F2;0B0)OVERLAP_F_B,3B2,"
                          "(3F3;0B1)OVERLAP_F_B,3B3,0I2,0W2,0I3,0W3",
                          "1F0,2F0,1F1,2F1,1F2,2B0,(2F2;1B0)OVERLAP_F_B,(1F3;2B1)OVERLAP_F_B,"
                          "(2F3;1B1)OVERLAP_F_B,2B2,1B2,2I3,1I3,2W3,1W3"));
}

TEST(ScheduleRows, DualPipeVOfPyTorchsOwnTests) {
  const std::string row = rows_of("dualpipev", {.ranks = 4, .microbatches = 10, .stages_per_rank = 2})[3];

  EXPECT_THAT(row, ::testing::StartsWith("3F0,4F0,3F1,4F1,3F2,4F2,3F3,4F3,3F4,4B0,(4F4;3B0)OVERLAP_F_B,"
                                         "(3F5;4B1)OVERLAP_F_B,(4F5;3B1)OVERLAP_F_B,"));
  EXPECT_THAT(row, ::testing::EndsWith(",4B6,3B6,4B7,3B7,4I8,3I8,4I9,3I9,4W8,3W8,4W9,3W9"));
}

// Figure 3 of Qi et al. 2023: the first rank as in 1F1B with W at once, the last one W late.
TEST(ScheduleRows, ZbH1PutsWOffOnLaterRanks) {
  EXPECT_THAT(rows_of("zb_h1", {.ranks = 2, .microbatches = 3}),
              ElementsAre("0F0,0F1,0I0,0W0,0F2,0I1,0W1,0I2,0W2", "1F0,1I0,1F1,1I1,1W0,1F2,1I2,1W1,1W2"));
}

TEST(ScheduleRows, ZbH2FillsTheWarmUpWithForwards) {
  EXPECT_THAT(rows_of("zb_h2", {.ranks = 2, .microbatches = 4}),
              ElementsAre("0F0,0F1,0F2,0I0,0W0,0F3,0I1,0W1,0I2,0W2,0I3,0W3",
                          "1F0,1I0,1F1,1I1,1F2,1I2,1W0,1F3,1I3,1W1,1W2,1W3"));
}

TEST(ScheduleRows, VMinLetsEachMicrobatchLeaveAtOnce) {
  EXPECT_THAT(rows_of("v_min", {.ranks = 1, .microbatches = 2, .stages_per_rank = 2}),
              ElementsAre("0F0,1F0,1I0,0I0,1W0,0F1,0W0,1F1,1I1,0I1,1W1,0W1"));
}

TEST(ScheduleRows, StagesOfARankAreStatedBySchedule) {
  for (const std::string& name : schedule_names()) {
    const StagesPerRank stages = schedule(name)->stages_per_rank();
    const bool single = name == "gpipe" || name == "1f1b" || name.starts_with("zb_");
    const bool several = name.starts_with("interleaved") || name == "looped_bfs";
    EXPECT_EQ(stages.least, single ? 1 : 2) << name;
    EXPECT_EQ(stages.usual, single ? 1 : 2) << name;
    EXPECT_EQ(stages.most > 2, several) << name;
  }
}

}  // namespace
}  // namespace caravan::testing
