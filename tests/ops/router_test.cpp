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
using ::testing::HasSubstr;

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

/// Choices of experts that are drawn at random: [T, K].
RouterProblem crowded(std::int64_t tokens, std::int64_t experts, std::int64_t top_k) {
  std::vector<float> logits;
  for (std::int64_t i = 0; i < tokens * experts; ++i)
    logits.push_back(static_cast<float>((i * 7919 + i / experts * 104'729) % 1009) *
                     (i % experts == 1 ? 2.f : 1.f));
  return {{.top_k = top_k}, Tensor({tokens, experts}, logits)};
}

/// The plain definition: going through a sequence token by token and choice by choice, an expert that has
/// taken `capacity` takes no more.
std::vector<bool> taken_by_hand(const RouterProblem& p, std::int64_t capacity, std::int64_t sequence_length) {
  std::vector<bool> taken;
  for (std::int64_t choice = 0; choice < p.tokens * p.rule.top_k; ++choice) {
    const std::int64_t sequence = choice / p.rule.top_k / sequence_length;
    std::int64_t before = 0;
    for (std::int64_t other = sequence * sequence_length * p.rule.top_k; other < choice; ++other)
      before += p.experts.values()[other] == p.experts.values()[choice] && taken[other];
    taken.push_back(before < capacity);
  }
  return taken;
}

/// Rows and offsets are those of the choices that are taken, and of no others.
void expect_rows_of_taken(const RouterProblem& p, const std::vector<bool>& taken) {
  const auto rows = std::count(taken.begin(), taken.end(), true);
  EXPECT_EQ(p.dropped, static_cast<double>(taken.size()) - rows);
  EXPECT_EQ(p.offsets.values().back(), rows);
  for (std::size_t choice = 0; choice < taken.size(); ++choice) {
    const std::int32_t row = p.row_of.values()[choice];
    ASSERT_EQ(row >= 0, taken[choice]) << choice;
    if (row < 0) continue;
    EXPECT_EQ(p.choice_of.values()[row], static_cast<std::int32_t>(choice));
    EXPECT_GE(row, p.offsets.values()[p.experts.values()[choice]]);
    EXPECT_LT(row, p.offsets.values()[p.experts.values()[choice] + 1]);
  }
  for (auto row = static_cast<std::size_t>(rows); row < taken.size(); ++row)
    EXPECT_EQ(p.choice_of.values()[row], -1);
}

TEST(Router, DropsTheLastChoicesOfEachSequenceBeyondTheCapacity) {
  RouterProblem p = crowded(60, 5, 2), all = crowded(60, 5, 2);

  p.forward();
  p.limit(7, 20);
  all.forward();

  EXPECT_EQ(p.experts.values(), all.experts.values());
  EXPECT_EQ(p.weights.values(), all.weights.values());  // not normalised anew
  EXPECT_EQ(p.counts.values(), all.counts.values());    // counted before dropping
  const std::vector<bool> taken = taken_by_hand(p, 7, 20);
  EXPECT_LT(std::count(taken.begin(), taken.end(), true), 100);
  expect_rows_of_taken(p, taken);
}

/// Each rank drops what one rank that has all of them does.
TEST(Router, DropsByTheOrderOfWholeSequencesWhereOthersRoutePartsOfThem) {
  constexpr std::int64_t kLength = 20, kSequences = 3, kTopK = 2, kCapacity = 7;
  RouterProblem whole = crowded(kLength * kSequences, 5, kTopK);
  whole.forward();
  const std::vector<bool> taken = taken_by_hand(whole, kCapacity, kLength);
  std::int64_t tokens = 0;
  for (int rank = 0; rank < 3; ++rank) {
    const TokenMap here = TokenMap::context(0, kLength, 3, rank);
    std::vector<float> logits;
    std::vector<bool> taken_here;
    for (std::int64_t t = 0; t < kSequences * here.length(); ++t) {
      const std::int64_t token = here.token(t);
      const auto row = whole.logits.values().begin() + token * 5;
      logits.insert(logits.end(), row, row + 5);
      for (std::int64_t k = 0; k < kTopK; ++k) taken_here.push_back(taken[token * kTopK + k]);
    }
    RouterProblem part(whole.rule, Tensor({kSequences * here.length(), 5}, logits));
    part.forward();
    part.limit(kCapacity, kLength, whole.experts, here);
    expect_rows_of_taken(part, taken_here);
    tokens += part.tokens;
  }
  EXPECT_EQ(tokens, whole.tokens);
}

TEST(Router, ACapacityForAllDropsNothing) {
  RouterProblem p = crowded(60, 5, 2), all = crowded(60, 5, 2);

  p.forward();
  p.limit(20, 20);
  all.forward();

  EXPECT_EQ(p.dropped, 0);
  EXPECT_EQ(p.row_of.values(), all.row_of.values());
  EXPECT_EQ(p.choice_of.values(), all.choice_of.values());
  EXPECT_EQ(p.offsets.values(), all.offsets.values());
}

TEST(Router, RefusesALimitOfTokensThatAreNotThere) {
  RouterProblem p = crowded(20, 5, 2);
  p.forward();
  const auto problem = [&](std::int64_t capacity, const TokenMap& here) {
    return message_of<DeviceError>([&] { p.limit(capacity, 20, p.experts, here); });
  };
  EXPECT_THAT(problem(0, TokenMap::whole(0, 20)), HasSubstr("capacity 0 of sequences of 20 tokens"));
  EXPECT_THAT(problem(1, TokenMap::whole(1, 20)), HasSubstr("tokens [20, 40) of 20"));
}

}  // namespace
}  // namespace caravan::testing
