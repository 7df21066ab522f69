#include "io/data/mix_order.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "tests/support/message_of.hpp"

// Which part of a mix a sample comes from.
namespace caravan::io {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<double> random_weights(std::mt19937& random, std::size_t parts) {
  std::vector<double> weights(parts);
  for (double& weight : weights) weight = std::exp(std::normal_distribution(0.0, 1.0)(random));
  return weights;
}

std::vector<std::size_t> parts_of(const MixOrder& order, std::int64_t begin, std::int64_t count) {
  std::vector<std::size_t> parts;
  for (std::int64_t sample = begin; sample < begin + count; ++sample) parts.push_back(order.at(sample).part);
  return parts;
}

TEST(MixOrder, NumbersTheSamplesOfEachPartWithoutGaps) {
  std::mt19937 random(3);
  for (const std::size_t size : {1u, 2u, 3u, 7u, 64u}) {
    const MixOrder order(random_weights(random, size), 11);
    std::vector<std::int64_t> next(size);
    for (std::int64_t sample = 0; sample < 20'000; ++sample) {
      if (sample % 997 == 0) {
        ASSERT_EQ(order.taken(sample), next) << sample;
      }
      const MixOrder::Place place = order.at(sample);
      ASSERT_LT(place.part, size);
      ASSERT_EQ(place.index, next[place.part]++) << "sample " << sample << " of part " << place.part;
    }
  }
}

TEST(MixOrder, SharesAreRightToATenthOfAPercentOfTenThousandSamplesAnywhere) {
  std::mt19937 random(5);
  for (const std::size_t size : {2u, 3u, 5u, 20u, 1000u}) {
    const MixOrder order(random_weights(random, size), random());
    for (const std::int64_t begin : {std::int64_t{0}, std::int64_t{123'457}, std::int64_t{1} << 40}) {
      const auto before = order.taken(begin), after = order.taken(begin + 10'000);
      for (std::size_t part = 0; part < size; ++part)
        EXPECT_NEAR(static_cast<double>(after[part] - before[part]), 1e4 * order.shares()[part], 10)
            << "part " << part << " of " << size << " from " << begin;
    }
  }
}

TEST(MixOrder, IsNeverFarFromItsShares) {
  std::mt19937 random(7);
  for (const std::size_t size : {2u, 3u, 8u}) {
    const MixOrder order(random_weights(random, size), 1);
    const double most = size == 2 ? 1 : 3;  // samples, one for each border
    for (std::int64_t samples = 0; samples < 5000; ++samples) {
      const auto taken = order.taken(samples);
      for (std::size_t part = 0; part < size; ++part)
        ASSERT_LT(
            std::abs(static_cast<double>(taken[part]) - static_cast<double>(samples) * order.shares()[part]),
            most);
    }
  }
}

TEST(MixOrder, IsTheSeedsAndDoesNotDependOnTheScaleOfWeights) {
  const std::vector<double> weights{5, 3, 2}, scaled{0.5, 0.3, 0.2};
  const auto row = [](const std::vector<double>& of, std::uint64_t seed) {
    return parts_of(MixOrder(of, seed), 0, 1000);
  };
  EXPECT_EQ(row(weights, 1), row(scaled, 1));
  EXPECT_NE(row(weights, 1), row(weights, 2));
}

TEST(MixOrder, IsTheSameOnEveryMachine) {
  EXPECT_THAT(parts_of(MixOrder(std::vector<double>{0.5, 0.25, 0.25}, 1), 0, 12),
              ElementsAre(0, 2, 0, 1, 0, 2, 0, 1, 0, 2, 0, 1));
}

TEST(MixOrder, GoesOnToTheLastSampleThatHasANumber) {
  const MixOrder order(std::vector<double>{1, 2, 4}, 9);
  const std::int64_t last = (std::int64_t{1} << 62) - 1;
  const auto taken = order.taken(last);
  const MixOrder::Place place = order.at(last);
  EXPECT_EQ(place.index, taken[place.part]);
  EXPECT_EQ(order.taken(last + 1)[place.part], taken[place.part] + 1);
  EXPECT_EQ(taken[0] + taken[1] + taken[2], last);
}

TEST(MixOrder, RefusesWeightsThatGiveNoShare) {
  const auto refusal = [](const std::vector<double>& weights) {
    return testing::message_of<ConfigError>([&] { MixOrder(weights, 0); });
  };
  EXPECT_THAT(refusal({}), HasSubstr("a mix of 0 parts (1 to 1000 are read)"));
  EXPECT_THAT(refusal(std::vector<double>(1001, 1)), HasSubstr("a mix of 1001 parts"));
  EXPECT_THAT(refusal({1, 0}), HasSubstr("weight 0 of weights whose sum is 1"));
  EXPECT_THAT(refusal({1, -0.5}), HasSubstr("weight -0.5"));
  EXPECT_THAT(refusal({1, 1e-7}), HasSubstr("(a part has at least 1e-06 of all samples)"));
  EXPECT_NE(refusal({1, std::nan("")}), "");
  EXPECT_NE(refusal({1e308, 1e308}), "");
}

}  // namespace
}  // namespace caravan::io
