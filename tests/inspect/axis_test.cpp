#include "jobs/drawing/axis.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "jobs/drawing/fitted_text.hpp"
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
  const Axis axis(Axis::Kind::logarithmic, {0.3, 25}, 0, 4);
  EXPECT_EQ(axis.low(), 0);
  EXPECT_DOUBLE_EQ(axis.high(), 100);
  EXPECT_DOUBLE_EQ(axis.at(0), 0);
  EXPECT_DOUBLE_EQ(axis.at(0.05), 0.5);
  EXPECT_DOUBLE_EQ(axis.at(0.1), 1);
  EXPECT_DOUBLE_EQ(axis.at(1), 2);
  EXPECT_EQ(axis.ticks().size(), 5u);
}

TEST(Axis, NeverGoesBelowZeroWhereNoValueIs) {
  EXPECT_EQ(Axis(Axis::Kind::whole, {0, 0}, 0, 1).low(), 0);
  EXPECT_EQ(Axis(Axis::Kind::linear, {0, 0}, 0, 1).low(), 0);
  EXPECT_EQ(Axis(Axis::Kind::linear, {0, 0.7}, 0, 1).low(), 0);
  EXPECT_LT(Axis(Axis::Kind::linear, {-1e-9, 0.7}, 0, 1).low(), 0);
}

TEST(Axis, OfPositiveValuesHasRoundTicksAndNoZero) {
  const Axis axis(Axis::Kind::positive, {3, 40}, 0, 1);
  EXPECT_EQ(axis.ticks(), (std::vector<double>{2, 5, 10, 20, 50}));
  EXPECT_DOUBLE_EQ(axis.at(2), 0);
  EXPECT_DOUBLE_EQ(axis.at(10), 0.5);
  EXPECT_DOUBLE_EQ(axis.at(50), 1);
}

TEST(Axis, OfPositiveValuesGoesByDecadesWhereTheyAreMany) {
  for (const double low : {3e-9, 1e-6, 0.2, 7.0}) {
    for (const double times : {2.1, 30.0, 1e4, 1e9, 1e100}) {
      const Axis axis(Axis::Kind::positive, {low, low * times}, 0, 1);
      EXPECT_LE(axis.ticks().size(), 8u) << low << " " << times;
      EXPECT_GT(axis.low(), 0);
      EXPECT_LE(axis.low(), low * (1 + 1e-12));
      EXPECT_GE(axis.high(), low * times * (1 - 1e-12));
    }
  }
}

TEST(Axis, OfPositiveValuesThatAreNearHasTicksBetweenThem) {
  const Axis axis(Axis::Kind::positive, {4.1, 4.9}, 0, 1);
  EXPECT_GE(axis.ticks().size(), 4u);
  EXPECT_GT(axis.low(), 0);
  EXPECT_GT(axis.at(4.5), 0.5) << "logarithmic all the same";
  EXPECT_GT(Axis(Axis::Kind::positive, {1e-9, 1e-9}, 0, 1).low(), 0);
}

TEST(FittedText, KeepsBothEndsAndTakesNoMoreThanItsRoom) {
  const std::string name = "layers.10.attention.wq.weight";
  EXPECT_EQ(jobs::fitted(name, 12, 1000), name);
  for (const double room : {20.0, 60.0, 100.0, 150.0}) {
    const std::string cut = jobs::fitted(name, 12, room);
    EXPECT_LE(jobs::text_width(cut, 12), room) << cut;
    EXPECT_NE(cut.find("…"), std::string::npos);
  }
  EXPECT_TRUE(jobs::fitted(name, 12, 100).starts_with("laye"));
  EXPECT_TRUE(jobs::fitted(name, 12, 100).ends_with("ght"));
  EXPECT_EQ(jobs::fitted("日本語日本語", 10, 35), "日…語") << "cut between characters";
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
