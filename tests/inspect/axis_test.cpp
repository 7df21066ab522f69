#include "jobs/drawing/axis.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "jobs/drawing/tone.hpp"

namespace caravan::test {
namespace {

using jobs::Axis;

TEST(Axis, MovesLimitsOutToTicks) {
  const Axis axis(Axis::Kind::linear, {-0.083, 0.098}, 0, 100);
  EXPECT_DOUBLE_EQ(axis.low(), -0.1);
  EXPECT_DOUBLE_EQ(axis.high(), 0.1);
  EXPECT_DOUBLE_EQ(axis.at(0), 50);
}

TEST(Axis, OfASingleValueHasRoom) {
  const Axis axis(Axis::Kind::linear, {3, 3}, 0, 1);
  EXPECT_LT(axis.low(), 3);
  EXPECT_GT(axis.high(), 3);
}

TEST(Axis, WholeNumbersHaveNoTicksBetween) {
  const Axis axis(Axis::Kind::whole, {0, 2}, 0, 1);
  for (const double tick : axis.ticks()) EXPECT_EQ(tick, std::round(tick));
}

TEST(Axis, LogarithmsRiseByDecades) {
  const Axis axis(Axis::Kind::logarithmic, {0.3, 25}, 0, 3);
  EXPECT_DOUBLE_EQ(axis.low(), 0.1);
  EXPECT_DOUBLE_EQ(axis.high(), 100);
  EXPECT_DOUBLE_EQ(axis.at(1), 1);
  EXPECT_EQ(axis.ticks().size(), 4u);
}

TEST(TickDistance, IsOneTwoOrFiveTimesAPowerOfTen) {
  EXPECT_DOUBLE_EQ(jobs::tick_distance(10, 12), 1);
  EXPECT_DOUBLE_EQ(jobs::tick_distance(0.3, 6), 0.05);
  EXPECT_DOUBLE_EQ(jobs::tick_distance(0, 6), 1);
}

TEST(BarText, ShowsWhatIsNotNothing) {
  EXPECT_EQ(jobs::bar_text(0, 10), "");
  EXPECT_EQ(jobs::bar_text(1e-9, 10), "▏");
  EXPECT_EQ(jobs::bar_text(0.5, 3), "█▌");
  EXPECT_EQ(jobs::display_width(jobs::bar_text(1, 7)), 7u);
}

TEST(SparkText, GoesFromTheLowestToTheHighest) {
  EXPECT_EQ(jobs::spark_text({0, 7, 3.5}), "▁█▅");
  EXPECT_EQ(jobs::display_width(jobs::spark_text({1, 1})), 2u);
}

}  // namespace
}  // namespace caravan::test
