#include "jobs/inspect/difference.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/inspect/memory_tensors.hpp"

namespace caravan::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

template <class T>
jobs::ValueDifference compared(const std::vector<T>& a, const std::vector<T>& b,
                               const jobs::Tolerance& tolerance = {}) {
  MemoryTensors left, right;
  const auto& entry_a = left.add("/a", a, {a.size()});
  const auto& entry_b = right.add("/a", b, {b.size()});
  return jobs::compare_values({left, entry_a}, {right, entry_b}, tolerance);
}

TEST(CompareValues, FindsTheLargestDifferences) {
  const auto difference = compared<float>({1, 2, 3, 0}, {1, 2.5f, 1, 0.25f});
  EXPECT_EQ(difference.count, 4u);
  EXPECT_EQ(difference.changed, 3u);
  EXPECT_EQ(difference.largest, 2);
  EXPECT_EQ(difference.largest_at, 2u);
  EXPECT_EQ(difference.largest_relative, 1);
  EXPECT_NEAR(difference.cosine, 9 / std::sqrt(14.0 * (1 + 6.25 + 1 + 0.0625)), 1e-12);
}

TEST(CompareValues, AllowsWhatNumpysAllcloseAllows) {
  EXPECT_EQ(compared<float>({1.0f, 100.0f}, {1.5f, 101.0f}, {.atol = 0.5}).changed, 1u);
  EXPECT_EQ(compared<float>({1.0f, 100.0f}, {1.5f, 101.0f}, {.rtol = 0.01}).changed, 1u);
  EXPECT_EQ(compared<float>({1.0f, 100.0f}, {1.5f, 101.0f}, {.rtol = 0.01, .atol = 0.5}).changed, 0u);
}

TEST(CompareValues, NanEqualsNanAndNothingElse) {
  EXPECT_EQ(compared<float>({kNan, kInfinity}, {kNan, kInfinity}).changed, 0u);
  const auto difference =
      compared<float>({kNan, kInfinity, 1}, {1, -kInfinity, kNan}, {.rtol = 1e9, .atol = 1e9});
  EXPECT_EQ(difference.changed, 3u);
  EXPECT_TRUE(std::isinf(difference.largest));
}

TEST(CompareValues, TheSameBytesAreTheSame) {
  const std::vector<float> values = {1, kNan, -2};
  const auto difference = compared(values, values);
  EXPECT_EQ(difference.changed, 0u);
  EXPECT_EQ(difference.count, 3u);
  EXPECT_FALSE(difference.largest_at);
  EXPECT_DOUBLE_EQ(difference.cosine, 1);
}

TEST(CompareValues, ZerosOfBothSignsAreTheSame) {
  EXPECT_EQ(compared<float>({0.0f}, {-0.0f}).changed, 0u);
}

TEST(CompareValues, NoticesWholeNumbersThatDoublesCannotTellApart) {
  const std::int64_t large = (std::int64_t{1} << 60) + 1;
  EXPECT_GT(compared<std::int64_t>({large}, {large - 1}).changed, 0u);
}

TEST(CompareValues, ReadsLargeTensorsInBlocks) {
  MemoryTensors left, right;
  std::vector<float> values(3 << 20, 1.0f);
  const auto& a = left.add("/a", values, {3, 1 << 10, 1 << 10});
  values.back() = 2;
  const auto& b = right.add("/a", values, {3, 1 << 10, 1 << 10});
  const auto difference = jobs::compare_values({left, a}, {right, b}, {});
  EXPECT_EQ(difference.changed, 1u);
  EXPECT_EQ(difference.largest_at, values.size() - 1);
  EXPECT_EQ(left.reads, 3);
  EXPECT_EQ(left.largest_read, 4u << 20);
}

}  // namespace
}  // namespace caravan::test
