#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using Longs = BasicTensor<std::int64_t>;
using Marks = BasicTensor<std::uint8_t>;

/// Rules of `slots` slots, all alike, and their state.
struct Slots {
  std::int64_t count;
  Scalar temperature{{count}}, top_p{{count}}, min_p{{count}}, repetition{{count}};
  Ids top_k{{count}}, drawn{{count}};
  Longs seed{{count}};

  explicit Slots(std::int64_t slots, double degrees = 1) : count(slots) {
    for (std::int64_t slot = 0; slot < slots; ++slot) {
      temperature[slot] = degrees;
      top_p[slot] = repetition[slot] = 1;
      seed[slot] = 1;
    }
  }
  SamplingRules rules() { return {temperature, top_k, top_p, min_p, repetition, seed}; }
};

/// What one row with slot 0's rules draws, and its state advances by.
std::int32_t draw(Slots& slots, Tensor logits, TensorView bias = {}, TensorView seen = {}) {
  ReferenceOps ops;
  Ids which({1}, {0}), tokens({1});
  ops.sample_tokens({.logits = logits,
                     .slots = which,
                     .rules = slots.rules(),
                     .bias = bias,
                     .seen = seen,
                     .drawn = slots.drawn,
                     .tokens = tokens,
                     .log_prob = {},
                     .drawable = logits.size()});
  return tokens[0];
}

Tensor row(const std::vector<float>& logits) {
  return Tensor({1, static_cast<std::int64_t>(logits.size())}, logits);
}

/// How often each token is drawn.
std::map<std::int32_t, int> counts(Slots& slots, const std::vector<float>& logits, int draws) {
  std::map<std::int32_t, int> counted;
  for (int i = 0; i < draws; ++i) ++counted[draw(slots, row(logits))];
  return counted;
}

TEST(Sampling, NoTemperatureIsTheLikeliestTokenTheLowestOnTies) {
  Slots slots(1, 0);
  EXPECT_EQ(draw(slots, row({1, 3, 2, 3})), 1);
}

TEST(Sampling, ATinyTemperatureIsTheLikeliestToken) {
  for (double temperature : {1e-309, 1e-30, 1e-3}) {
    Slots slots(1, temperature);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(draw(slots, row({1, 3, 2.5f})), 1) << temperature;
  }
}

TEST(Sampling, DrawsByTheSoftmax) {
  Slots slots(1, 2);
  const auto counted = counts(slots, {0, 2, -2}, 4000);  // over 2: 0, 1, −1
  const double total = 1 + std::exp(1) + std::exp(-1);
  EXPECT_NEAR(counted.at(1), 4000 * std::exp(1) / total, 100);
  EXPECT_NEAR(counted.at(2), 4000 * std::exp(-1) / total, 100);
}

// Written down from the sampler that drew on the host before there was an operator.
TEST(Sampling, TheDrawsOfASeedStayWhatTheyWere) {
  Slots slots(1, 0.8);
  slots.top_p[0] = 0.95;
  slots.seed[0] = 7;
  std::vector<std::int32_t> tokens;
  Tensor logits = Tensor::random("logits", {1, 50}, 0, 2);
  for (int i = 0; i < 16; ++i) tokens.push_back(draw(slots, logits));
  EXPECT_EQ(tokens,
            (std::vector<std::int32_t>{47, 36, 36, 36, 36, 36, 44, 47, 36, 36, 36, 36, 36, 44, 36, 36}));
}

TEST(Sampling, TopKKeepsSoMany) {
  Slots slots(1);
  slots.top_k[0] = 2;
  const auto counted = counts(slots, {0, 0.1f, 0.2f, -0.1f}, 200);
  EXPECT_EQ(counted.size(), 2u);
  EXPECT_TRUE(counted.contains(1) && counted.contains(2));
}

TEST(Sampling, TopPKeepsTheLikeliestThatReachIt) {
  Slots slots(1);
  slots.top_p[0] = 0.6;  // probabilities 1/2, 1/3, 1/6
  const auto counted = counts(slots, {std::log(1.0f / 6), std::log(1.0f / 2), std::log(1.0f / 3)}, 200);
  EXPECT_EQ(counted.size(), 2u);
  EXPECT_FALSE(counted.contains(0));
}

TEST(Sampling, MinPKeepsAShareOfTheLikeliest) {
  Slots slots(1);
  slots.min_p[0] = 0.5;
  const auto counted = counts(slots, {0, std::log(0.6f), std::log(0.4f)}, 200);
  EXPECT_EQ(counted.size(), 2u);
  EXPECT_FALSE(counted.contains(2));
}

TEST(Sampling, SeenTokensAreLessLikelyByTheRepetitionRule) {
  Slots slots(1, 0);
  slots.repetition[0] = 2;
  Marks seen({1, 3});
  EXPECT_EQ(draw(slots, row({3, 2, -1}), {}, seen), 0);  // which it then has seen: 3/2 < 2
  EXPECT_EQ(draw(slots, row({3, 2, -1}), {}, seen), 1);
  EXPECT_EQ(draw(slots, row({-1, -1.5f, -1.9f}), {}, seen), 2);  // −2, −3, −1.9
  EXPECT_EQ(seen.values(), (std::vector<std::uint8_t>{1, 1, 1}));
}

TEST(Sampling, ABiasIsAddedAndMayForbid) {
  Slots slots(1, 0);
  Tensor bias({3}, {-std::numeric_limits<float>::infinity(), 0, 2});
  EXPECT_EQ(draw(slots, row({9, 1, 0}), bias), 2);
}

TEST(Sampling, TokensThatStandForNoTextAreNotDrawn) {
  ReferenceOps ops;
  Slots slots(1, 0);
  Tensor logits = row({1, 2, 9});
  Ids which({1}, {0}), tokens({1});
  ops.sample_tokens({.logits = logits,
                     .slots = which,
                     .rules = slots.rules(),
                     .drawn = slots.drawn,
                     .tokens = tokens,
                     .drawable = 2});
  EXPECT_EQ(tokens[0], 1);
}

TEST(Sampling, LogProbabilitiesAreTheModels) {
  ReferenceOps ops;
  Slots slots(1, 0);
  Tensor logits = row({1, 3, 2}), bias({3}, {9, 0, 0}), log_prob({1});
  Ids which({1}, {0}), tokens({1});
  ops.sample_tokens({.logits = logits,
                     .slots = which,
                     .rules = slots.rules(),
                     .bias = bias,
                     .drawn = slots.drawn,
                     .tokens = tokens,
                     .log_prob = log_prob,
                     .drawable = 3});
  EXPECT_EQ(tokens[0], 0);
  EXPECT_NEAR(log_prob[0], 1 - std::log(std::exp(1.0) + std::exp(2.0) + std::exp(3.0)), 1e-6);
}

TEST(Sampling, DoesNotDependOnTheBatch) {
  ReferenceOps ops;
  Slots slots(3), alone(1);
  slots.seed[2] = alone.seed[0] = 11;
  slots.drawn[2] = alone.drawn[0] = 4;
  Tensor logits = Tensor::random("logits", {2, 40});
  Ids which({2}, {0, 2}), tokens({2});

  ops.sample_tokens({.logits = logits,
                     .slots = which,
                     .rules = slots.rules(),
                     .drawn = slots.drawn,
                     .tokens = tokens,
                     .drawable = 40});

  Tensor last({1, 40});
  for (std::int64_t v = 0; v < 40; ++v) last[v] = logits[40 + v];
  EXPECT_EQ(tokens[1], draw(alone, last));
  EXPECT_EQ(slots.drawn.values(), (std::vector<std::int32_t>{1, 0, 5}));
}

TEST(Sampling, RowsWithoutASlotAndLogitsThatAreNotFiniteDrawNothing) {
  ReferenceOps ops;
  Slots slots(2, 0);
  Tensor logits({2, 2}, {1, 2, std::nanf(""), 1});
  Ids which({2}, {-1, 1}), tokens({2}, {5, 5});

  ops.sample_tokens({.logits = logits,
                     .slots = which,
                     .rules = slots.rules(),
                     .drawn = slots.drawn,
                     .tokens = tokens,
                     .drawable = 2});

  EXPECT_EQ(tokens.values(), (std::vector<std::int32_t>{5, kNotDrawn}));
  EXPECT_EQ(slots.drawn.values(), (std::vector<std::int32_t>{0, 0}));
}

TEST(Sampling, ASlotThatDoesNotExistIsRefused) {
  ReferenceOps ops;
  Slots slots(1, 0);
  Tensor logits = row({1, 2});
  Ids which({1}, {1}), tokens({1});
  EXPECT_THAT(message_of<DeviceError>([&] {
                ops.sample_tokens({.logits = logits,
                                   .slots = which,
                                   .rules = slots.rules(),
                                   .drawn = slots.drawn,
                                   .tokens = tokens,
                                   .drawable = 2});
              }),
              ::testing::HasSubstr("slots[0] is 1 (there are 1)"));
}

}  // namespace
}  // namespace caravan::testing
