#include "jobs/inspect/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <vector>

namespace caravan::test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

jobs::Statistics statistics(const std::vector<double>& values, std::size_t piece) {
  jobs::StatisticsSum sum;
  for (std::size_t first = 0; first < values.size(); first += piece)
    sum.add(std::span(values).subspan(first, std::min(piece, values.size() - first)), first);
  return sum.result();
}

TEST(Statistics, OfASmallTensorAreThoseOfTheFormulas) {
  const jobs::Statistics s = statistics({3, -4, 0, 5, 0, -4}, 6);
  EXPECT_EQ(s.count, 6u);
  EXPECT_EQ(s.min, -4);
  EXPECT_EQ(s.max, 5);
  EXPECT_EQ(s.zeros, 2u);
  EXPECT_DOUBLE_EQ(s.mean, 0);
  EXPECT_DOUBLE_EQ(s.norm(), std::sqrt(66.0));
  EXPECT_DOUBLE_EQ(s.deviation(), std::sqrt(11.0));
  EXPECT_EQ(s.absmax(), 5);
  EXPECT_FALSE(s.first_not_finite);
}

/// A mean of 1e6 would cost a sum of squares all digits of the deviation in single precision.
TEST(Statistics, DoNotDependOnPieces) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> normal(1e6, 1e-2);
  std::vector<double> values(5003);
  for (double& value : values) value = normal(random);
  const jobs::Statistics whole = statistics(values, values.size());
  EXPECT_NEAR(whole.deviation(), 1e-2, 5e-4);
  for (std::size_t piece : {1, 7, 8, 100, 4096}) {
    const jobs::Statistics parted = statistics(values, piece);
    EXPECT_NEAR(parted.mean, whole.mean, 1e-9) << piece;
    EXPECT_NEAR(parted.deviation(), whole.deviation(), 1e-9) << piece;
    EXPECT_EQ(parted.min, whole.min) << piece;
    EXPECT_EQ(parted.max, whole.max) << piece;
  }
}

TEST(Statistics, CountWhatIsNotFiniteAndNameTheFirst) {
  const jobs::Statistics s = statistics({1, 2, kNan, 3, -kInfinity, kNan, 4}, 3);
  EXPECT_EQ(s.nans, 2u);
  EXPECT_EQ(s.infinities, 1u);
  EXPECT_EQ(s.first_not_finite, 2u);
  EXPECT_EQ(s.finite, 4u);
  EXPECT_DOUBLE_EQ(s.mean, 2.5);
  EXPECT_EQ(s.max, 4);
}

TEST(Statistics, OfNothingFiniteHaveNoNumbers) {
  const jobs::Statistics s = statistics({kNan, kNan}, 2);
  EXPECT_EQ(s.finite, 0u);
  EXPECT_EQ(s.norm(), 0);
  EXPECT_EQ(s.first_not_finite, 0u);
}

}  // namespace
}  // namespace caravan::test
