#include "jobs/plot/series.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

namespace caravan::test {
namespace {

using jobs::Points;
using ::testing::ElementsAre;
using ::testing::Pair;

constexpr double kGap = INFINITY;

TEST(Smoothed, IsTheMeanOfTheStepsAround) {
  const Points points{{1, 1}, {2, 2}, {3, 6}, {4, 4}};
  EXPECT_THAT(jobs::smoothed(points, 3), ElementsAre(Pair(1, 1.5), Pair(2, 3), Pair(3, 4), Pair(4, 5)));
  EXPECT_EQ(jobs::smoothed(points, 1), points);
}

TEST(Smoothed, CountsStepsNotPoints) {
  const Points rare{{100, 1}, {200, 5}};
  EXPECT_EQ(jobs::smoothed(rare, 50), rare);
}

TEST(Smoothed, LeavesGapsAndAHugeValueStaysInItsWindow) {
  const Points points{{1, 1}, {2, kGap}, {3, 3}, {4, 1e90}, {9, 2}};
  const Points smooth = jobs::smoothed(points, 3);
  EXPECT_EQ(smooth[0].second, 1);
  EXPECT_EQ(smooth[1].second, kGap);
  EXPECT_EQ(smooth[4].second, 2);
}

TEST(Thinned, KeepsExtremesEndsAndGaps) {
  Points points;
  for (int step = 0; step < 100000; ++step) points.emplace_back(step, std::sin(step * 0.001));
  points[50001].second = 17;
  points[70000].second = kGap;
  const Points few = jobs::thinned(points, 100);
  EXPECT_LE(few.size(), 410u);
  EXPECT_EQ(few.front(), points.front());
  EXPECT_EQ(few.back(), points.back());
  EXPECT_THAT(few, ::testing::Contains(points[50001]));
  EXPECT_THAT(few, ::testing::Contains(points[70000]));
  EXPECT_TRUE(std::is_sorted(few.begin(), few.end(), [](auto a, auto b) { return a.first < b.first; }));
}

}  // namespace
}  // namespace caravan::test
