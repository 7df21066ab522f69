#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "caravan/error.hpp"
#include "tests/ops/router_problem.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

/// One token with the golden logits [2, 1, −1, 0].
RouterProblem golden(const RouterRule& rule) {
  return {rule, Tensor({1, 4}, {2, 1, -1, 0})};
}

TEST(Router, SelectsTheLargestAndWeighsItBySigmoid) {
  RouterProblem p = golden({.top_k = 1});

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(0));
  EXPECT_THAT(p.weights.values(), ElementsAre(FloatNear(0.880797f, 1e-6f)));
}

TEST(Router, DoesNotNormaliseUnlessAsked) {
  RouterProblem plain = golden({.top_k = 2}),
                normalised = golden({.top_k = 2, .normalise = true, .scale = 3});

  plain.forward();
  normalised.forward();

  EXPECT_THAT(plain.experts.values(), ElementsAre(0, 1));
  EXPECT_THAT(plain.weights.values(), ElementsAre(FloatNear(0.880797f, 1e-6f), FloatNear(0.731059f, 1e-6f)));
  const float sum = 0.880797f + 0.731059f;
  EXPECT_THAT(normalised.weights.values(),
              ElementsAre(FloatNear(3 * 0.880797f / sum, 1e-5f), FloatNear(3 * 0.731059f / sum, 1e-5f)));
}

TEST(Router, SoftmaxIsOverAllExperts) {
  RouterProblem p = golden({.score = ScoreFunction::softmax, .top_k = 2});
  const double total = std::exp(2.0) + std::exp(1.0) + std::exp(-1.0) + 1;

  p.forward();

  EXPECT_FLOAT_EQ(p.weights[0], static_cast<float>(std::exp(2.0) / total));
  EXPECT_FLOAT_EQ(p.weights[1], static_cast<float>(std::exp(1.0) / total));
}

TEST(Router, SoftmaxOverTheSelectedSumsToOne) {
  RouterProblem one = golden({.score = ScoreFunction::softmax_selected, .top_k = 1});
  RouterProblem two = golden({.score = ScoreFunction::softmax_selected, .top_k = 2});

  one.forward();
  two.forward();

  EXPECT_EQ(one.weights[0], 1);
  EXPECT_THAT(two.weights.values(), ElementsAre(FloatNear(0.731059f, 1e-6f), FloatNear(0.268941f, 1e-6f)));
}

TEST(Router, GivesTiesToTheLowerExpert) {
  RouterProblem p({.top_k = 3}, Tensor({1, 5}, {1, 2, 2, 1, 2}));

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(1, 2, 4));
}

TEST(Router, BiasChoosesButDoesNotWeigh) {
  Tensor bias({4}, {0, 0, 0, 10});
  RouterProblem p = golden({.top_k = 2});
  p.bias = bias;

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(3, 0));
  EXPECT_THAT(p.weights.values(), ElementsAre(0.5f, FloatNear(0.880797f, 1e-6f)));
}

TEST(Router, BiasIsAddedToTheScoreAndNotToTheLogit) {
  Tensor bias({2}, {0, 0.5f});
  RouterProblem p({.top_k = 1}, Tensor({1, 2}, {10, 8}));
  p.bias = bias;

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(1));
}

TEST(Router, BiasEntersTheWeightOnRequest) {
  Tensor bias({4}, {0, 0, 0, 10});
  RouterProblem sigmoid = golden({.top_k = 1, .bias_in_weight = true}),
                softmax =
                    golden({.score = ScoreFunction::softmax_selected, .top_k = 2, .bias_in_weight = true});
  sigmoid.bias = softmax.bias = bias;

  sigmoid.forward();
  softmax.forward();

  EXPECT_FLOAT_EQ(sigmoid.weights[0], static_cast<float>(1 / (1 + std::exp(-10.0))));
  EXPECT_THAT(softmax.experts.values(), ElementsAre(3, 0));
  EXPECT_FLOAT_EQ(softmax.weights[0], static_cast<float>(1 / (1 + std::exp(-8.0))));
}

TEST(Router, LimitsTheChoiceToTheBestGroups) {
  // Sums of the two best sigmoids: 0.99, 1.91, 1.85. The single best expert stands in a group that loses.
  const Tensor logits({1, 9}, {5, -9, -9, 3, 3, -9, 2.5f, 2.5f, 2.5f});
  RouterProblem p({.top_k = 3, .groups = 3, .limited_groups = 1}, logits);

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(3, 4, 5));
}

TEST(Router, GroupTiesGoToTheLowerGroup) {
  RouterProblem p({.top_k = 2, .groups = 2, .limited_groups = 1}, Tensor({1, 4}, {1, 2, 2, 1}));

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(1, 0));
}

TEST(Router, SortsRowsByExpertAndKeepsTheOrderOfSlots) {
  RouterProblem p({.top_k = 2}, Tensor({3, 4}, {0, 3, 2, 1, 5, 4, 0, 0, 0, 9, 0, 8}));

  p.forward();

  EXPECT_THAT(p.experts.values(), ElementsAre(1, 2, 0, 1, 1, 3));
  EXPECT_THAT(p.offsets.values(), ElementsAre(0, 1, 4, 5, 6));
  EXPECT_THAT(p.row_of.values(), ElementsAre(1, 4, 0, 2, 3, 5));
  EXPECT_THAT(p.choice_of.values(), ElementsAre(2, 0, 3, 4, 1, 5));
  EXPECT_THAT(p.counts.values(), ElementsAre(1, 3, 1, 1));
}

TEST(Router, AddsToTheCounts) {
  RouterProblem p = golden({.top_k = 1});
  p.counts = Tensor({4}, {5, 6, 7, 8});

  p.forward();

  EXPECT_THAT(p.counts.values(), ElementsAre(6, 6, 7, 8));
}

TEST(Router, SendsAllTokensToOneExpert) {
  RouterProblem p({.top_k = 1}, Tensor({3, 3}, {0, 0, 1, 0, 0, 1, 0, 0, 1}));

  p.forward();

  EXPECT_THAT(p.offsets.values(), ElementsAre(0, 0, 0, 3));
  EXPECT_THAT(p.row_of.values(), ElementsAre(0, 1, 2));
}

TEST(RouterNoise, IsNormalWithTheSoftplusAsDeviation) {
  Tensor noise_std({500, 8}, std::vector<float>(4000, 2));
  RouterProblem p({.top_k = 1}, Tensor({500, 8}));
  p.noise_std = noise_std;

  p.forward();

  double sum = 0, squares = 0;
  for (float value : p.logits.values()) sum += value, squares += value * value;
  const double deviation = std::log1p(std::exp(2.0));
  EXPECT_NEAR(sum / 4000, 0, 4 * deviation / std::sqrt(4000.0));
  EXPECT_NEAR(std::sqrt(squares / 4000), deviation, 4 * deviation / std::sqrt(8000.0));
}

/// A sequence of 6 tokens, of which a context rank has positions 0, 1 and 5.
TEST(RouterNoise, DependsOnTheGlobalTokenAlone) {
  Tensor noise_std({6, 3}), blocks_std({3, 3});
  RouterProblem whole({.top_k = 1}, Tensor({6, 3})), blocks({.top_k = 1}, Tensor({3, 3}));
  whole.noise_std = noise_std;
  blocks.noise_std = blocks_std;
  whole.rows = TokenMap::whole(7, 6);
  blocks.rows = TokenMap::context(7, 6, 2, 0);

  whole.forward();
  blocks.forward();

  for (std::int64_t i = 0; i < 9; ++i) {
    const std::int64_t token = blocks.rows.token(i / 3) - 7 * 6;
    EXPECT_EQ(blocks.logits[i], whole.logits[token * 3 + i % 3]) << i;
  }
}

TEST(Router, RefusesMoreSelectionsThanExperts) {
  RouterProblem p = golden({.top_k = 5});

  EXPECT_EQ(message_of<DeviceError>([&] { p.forward(); }),
            "route_forward on device 'reference': top_k 5 of 4 eligible experts");
}

TEST(Router, RefusesGroupsThatDoNotDivideTheExperts) {
  RouterProblem p = golden({.top_k = 1, .groups = 3, .limited_groups = 1});

  EXPECT_EQ(
      message_of<DeviceError>([&] { p.forward(); }),
      "route_forward on device 'reference': 1 of 3 groups of 4 experts (groups must divide the experts, at "
      "least one stays)");
}

TEST(ExpertBias, MovesAgainstTheLoad) {
  ReferenceOps ops;
  Tensor counts({4}, {4, 0, 2, 2}), bias({4}, {0.5f, 0, 0, 0});

  ops.expert_bias_update({.counts = counts, .bias = bias, .rate = 1e-3f});

  EXPECT_THAT(bias.values(), ElementsAre(FloatEq(0.499f), FloatEq(1e-3f), 0, 0));
  EXPECT_THAT(counts.values(), Each(0));
}

TEST(ExpertBias, IsCentredOnRequest) {
  ReferenceOps ops;
  Tensor counts({4}, {5, 1, 1, 1}), bias({4}), plain_counts = counts, plain({4});

  ops.expert_bias_update({.counts = counts, .bias = bias, .rate = 0.5f, .centre = true});
  ops.expert_bias_update({.counts = plain_counts, .bias = plain, .rate = 0.5f, .centre = false});

  EXPECT_THAT(bias.values(), ElementsAre(-0.75f, 0.25f, 0.25f, 0.25f));
  EXPECT_THAT(plain.values(), ElementsAre(-0.5f, 0.5f, 0.5f, 0.5f));
}

}  // namespace
}  // namespace caravan::testing
