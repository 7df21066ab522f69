#include <gtest/gtest.h>

#include <ctime>

#include "tests/schedules/schedules.hpp"

namespace caravan::testing {
namespace {

// Processor time, so that a busy machine does not fail it. Measured: 0.1 to 0.6 s.
TEST(ScheduleSpeed, FiveHundredRanksAndFourThousandMicrobatchesTakeUnderThreeSeconds) {
  for (const std::string& name : schedule_names()) {
    const PlanRequest request{
        .ranks = 512, .microbatches = 4096, .stages_per_rank = schedule(name)->stages_per_rank().usual};
    const std::clock_t begin = std::clock();

    const Plan plan = plan_of(name, request);

    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_EQ(plan.ranks(), 512) << name;
    EXPECT_LT(seconds, 3.0) << name;
  }
}

}  // namespace
}  // namespace caravan::testing
