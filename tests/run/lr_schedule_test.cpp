#include "core/run/lr_schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace caravan {
namespace {

std::vector<double> rates(const LrSchedule& schedule) {
  std::vector<double> rates;
  for (std::int64_t step = 1; step <= schedule.total_steps; ++step) rates.push_back(schedule.at(step));
  return rates;
}

void expect_rates(const LrSchedule& schedule, const std::vector<double>& expected) {
  const std::vector<double> actual = rates(schedule);
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], 1e-12) << "step " << i + 1;
}

TEST(LrSchedule, warms_up_stays_and_decays_linearly) {
  expect_rates({.lr = 1, .total_steps = 10, .warmup_steps = 2, .decay_ratio = 0.8, .min_factor = 0.1},
               {.5, 1, 1, .8875, .775, .6625, .55, .4375, .325, .2125});
}

TEST(LrSchedule, decays_all_the_way_after_the_warm_up_when_no_ratio_is_given) {
  const LrSchedule given{.lr = 2, .total_steps = 10, .warmup_steps = 2, .decay_ratio = 0.8};
  LrSchedule open = given;
  open.decay_ratio = -1;
  EXPECT_EQ(rates(open), rates(given));
}

TEST(LrSchedule, without_decay_stays) {
  expect_rates({.lr = 0.003, .total_steps = 5, .warmup_steps = 3, .decay_ratio = 0},
               {.001, .002, .003, .003, .003});
}

TEST(LrSchedule, has_a_square_root_and_a_cosine) {
  LrSchedule schedule{
      .lr = 1, .total_steps = 4, .warmup_steps = 0, .decay_ratio = 1, .decay = LrSchedule::Decay::sqrt};
  expect_rates(schedule, {1, 1 - std::sqrt(.25), 1 - std::sqrt(.5), 1 - std::sqrt(.75)});
  schedule.decay = LrSchedule::Decay::cosine;
  schedule.min_factor = 0.2;
  auto at = [](double progress) { return .2 + .8 * .5 * (1 + std::cos(M_PI * progress)); };
  expect_rates(schedule, {1, at(.25), at(.5), at(.75)});
}

TEST(LrSchedule, a_decay_longer_than_what_follows_the_warm_up_is_shortened) {
  expect_rates({.lr = 1, .total_steps = 4, .warmup_steps = 2, .decay_ratio = 1}, {.5, 1, 1, .5});
}

TEST(LrSchedule, a_warm_up_longer_than_the_run_is_only_begun) {
  expect_rates({.lr = 1, .total_steps = 3, .warmup_steps = 6}, {1.0 / 6, 2.0 / 6, 3.0 / 6});
}

TEST(LrSchedule, stays_at_its_end_beyond_the_last_step) {
  const LrSchedule schedule{.lr = 1, .total_steps = 4, .decay_ratio = 1, .min_factor = 0.25};
  EXPECT_NEAR(schedule.at(5), 0.25, 1e-12);
  EXPECT_NEAR(schedule.at(50), 0.25, 1e-12);
}

}  // namespace
}  // namespace caravan
