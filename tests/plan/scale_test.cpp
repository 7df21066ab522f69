#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>

#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "core/plan/simulate.hpp"
#include "tests/plan/plans.hpp"

// 512 ranks × 4096 micro-batches; the limits are generous for an unoptimised build on a busy machine, and
// far below what anything that is not linear would take.
namespace caravan::test {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double peak_gib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

TEST(PlanScale, AMillionsOfStepsArePlannedInSecondsAndBelow2GiB) {
  const auto begin = Clock::now();
  const Plan plan = one_f_one_b(512, 4096);
  EXPECT_EQ(check(plan, 4096).stages(), 512);
  EXPECT_NEAR(simulate(plan, {{{}}}).bubble(), 511.0 / (4096 + 511), 1e-9);
  EXPECT_EQ(peak_stashes(plan).front(), 512);
  const Plan lowered = place_communication(place_reduction(place_unshard(plan)));
  EXPECT_GT(lowered.steps[1].size(), 4 * 4096U);
  EXPECT_NO_THROW(check_communication(lowered));
  EXPECT_LT(seconds_since(begin), 60);
  EXPECT_LT(peak_gib(), 2);
}

TEST(PlanScale, APlanOfOneRankAtATimeIsLinearToo) {
  Plan plan;  // every micro-batch goes through all ranks and back before the next one
  for (int rank = 0; rank < 4096; ++rank) {
    std::vector<Step>& row = plan.steps.emplace_back();
    for (int i = 0; i < 64; ++i) row.insert(row.end(), {{forward(rank, i), {}}, {backward(rank, i), {}}});
  }
  const auto begin = Clock::now();
  const Plan lowered = place_communication(plan);
  EXPECT_EQ(lowered.steps.front().size(), 4 * 64U);
  EXPECT_DOUBLE_EQ(simulate(lowered, {{{}}}).makespan, 64.0 * 4096 * 3);
  EXPECT_LT(seconds_since(begin), 20);
}

}  // namespace
}  // namespace caravan::test
