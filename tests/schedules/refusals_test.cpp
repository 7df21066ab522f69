#include <gtest/gtest.h>

#include "tests/schedules/schedules.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

std::string refusal(const std::string& name, const PlanRequest& request) {
  return message_of<ConfigError>([&] { plan_of(name, request); });
}

TEST(ScheduleRefusals, TooFewMicrobatchesNameTheLeast) {
  EXPECT_EQ(refusal("1f1b", {.ranks = 4, .microbatches = 3}),
            "microbatches=3 (1f1b with 4 ranks needs at least 4). Use 4, or gpipe?");
  EXPECT_EQ(refusal("dualpipev", {.ranks = 4, .microbatches = 7, .stages_per_rank = 2}),
            "microbatches=7 (dualpipev with 4 ranks needs at least 8, one a stage). Use 8, or zbv?");
}

TEST(ScheduleRefusals, UnequalRoundsNameTheNearest) {
  for (const std::string name : {"interleaved_1f1b", "interleaved_zero_bubble"}) {
    EXPECT_EQ(refusal(name, {.ranks = 3, .microbatches = 7, .stages_per_rank = 2}),
              "microbatches=7 (" + name + " with 3 ranks needs 2 rounds of equal length). Use 6 or 8?");
    EXPECT_EQ(refusal(name, {.ranks = 4, .microbatches = 9, .stages_per_rank = 2}),
              "microbatches=9 (" + name + " with 4 ranks needs 2 rounds of equal length). Use 8 or 10?");
  }
}

TEST(ScheduleRefusals, StagesARankThatAScheduleDoesNotHave) {
  for (const std::string name : {"gpipe", "1f1b", "zb_h1", "zb_h2"}) {
    EXPECT_EQ(refusal(name, {.ranks = 2, .microbatches = 4, .stages_per_rank = 2}),
              "stages_per_rank=2 (" + name + " has 1). Use 1?");
  }
  for (const std::string name : {"zbv", "dualpipev", "v_half", "v_min"}) {
    EXPECT_EQ(refusal(name, {.ranks = 2, .microbatches = 4, .stages_per_rank = 1}),
              "stages_per_rank=1 (" + name + " has 2). Use 2?");
  }
  for (const std::string name : {"interleaved_1f1b", "interleaved_zero_bubble", "looped_bfs"}) {
    EXPECT_EQ(refusal(name, {.ranks = 2, .microbatches = 4, .stages_per_rank = 1}),
              "stages_per_rank=1 (" + name + " has 2 to 1048576). Use 2?");
  }
}

TEST(ScheduleRefusals, NumbersThatNoPipelineHas) {
  for (const std::string& name : schedule_names()) {
    const int stages = schedule(name)->stages_per_rank().usual;
    EXPECT_EQ(refusal(name, {.ranks = 0, .microbatches = 4, .stages_per_rank = stages}),
              "ranks=0 (a pipeline has 1 to 65536). Use 1?");
    EXPECT_EQ(refusal(name, {.ranks = 1, .microbatches = -1, .stages_per_rank = stages}),
              "microbatches=-1 (a step has 1 to 1048575). Use 1?");
    EXPECT_EQ(refusal(name, {.ranks = 65536, .microbatches = 1 << 19, .stages_per_rank = stages}),
              "ranks=65536, stages_per_rank=" + std::to_string(stages) +
                  ", microbatches=524288 (their product must be below 2^26). Fewer micro-batches?");
  }
}

}  // namespace
}  // namespace caravan::testing
