#include <gtest/gtest.h>

#include <ostream>

#include "tests/ops/gradient_check.hpp"
#include "tests/ops/router_problem.hpp"

namespace caravan::testing {
namespace {

struct Case {
  const char* name;
  RouterRule rule;
  bool biased = false, noisy = false;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

/// Logits of 4 tokens and 6 experts that differ by 0.4 at least, so that a difference step changes no choice.
Tensor separated_logits() {
  Tensor logits({4, 6});
  for (std::int64_t i = 0; i < 24; ++i) {
    logits[i] = 0.4f * static_cast<float>((5 * (i % 6) + i / 6) % 6) - 1 + 0.01f * static_cast<float>(i);
  }
  return logits;
}

class RouterGradients : public ::testing::TestWithParam<Case> {
 protected:
  /// The forward adds noise to its logits, so each evaluation starts from the clean ones.
  RouterProblem routed() {
    RouterProblem p(GetParam().rule, clean);
    if (GetParam().biased) p.bias = bias;
    if (GetParam().noisy) p.noise_std = noise_std;
    p.rows = TokenMap::whole(17, 1);
    p.forward();
    return p;
  }
  double loss() {
    RouterProblem p = routed();
    EXPECT_EQ(p.experts.values(), chosen) << "the step changed a choice";
    return weighted_sum(dweights, p.weights);
  }

  Tensor clean = separated_logits(), noise_std = Tensor::random("noise_std", {4, 6}, 0, 0.3);
  Tensor bias = Tensor({6}, {0.05f, -0.02f, 0.03f, 0, -0.04f, 0.01f});
  Tensor dweights = Tensor::random("dweights", {4, GetParam().rule.top_k});
  std::vector<std::int32_t> chosen = routed().experts.values();
  Tensor dlogits{{4, 6}}, dnoise{{4, 6}};
};

TEST_P(RouterGradients, MatchDifferences) {
  ReferenceOps ops;
  RouterProblem p = routed();

  ops.route_backward({.routed = p.routed(),
                      .dweights = dweights,
                      .dlogits = dlogits,
                      .dnoise = GetParam().noisy ? TensorView(dnoise) : TensorView()});

  EXPECT_TRUE(is_gradient(dlogits, clean, [&] { return loss(); }));
  EXPECT_TRUE(is_gradient(dnoise, noise_std, [&] { return loss(); }));
}

constexpr auto kSoftmax = ScoreFunction::softmax;
constexpr auto kSelected = ScoreFunction::softmax_selected;

INSTANTIATE_TEST_SUITE_P(
    Cases, RouterGradients,
    ::testing::Values(
        Case{"top1", {.top_k = 1}}, Case{"top2", {.top_k = 2, .scale = 2.5f}}, Case{"top3", {.top_k = 3}},
        Case{"top1_normalised", {.top_k = 1, .normalise = true}},
        Case{"top3_normalised", {.top_k = 3, .normalise = true, .scale = 0.5f}},
        Case{"bias", {.top_k = 2}, true},
        Case{"bias_in_weight", {.top_k = 2, .normalise = true, .bias_in_weight = true}, true},
        Case{"groups", {.top_k = 2, .groups = 3, .limited_groups = 2}},
        Case{"softmax", {.score = kSoftmax, .top_k = 2, .scale = 3}},
        Case{"softmax_normalised", {.score = kSoftmax, .top_k = 3, .normalise = true}},
        Case{"softmax_bias_in_weight", {.score = kSoftmax, .top_k = 2, .bias_in_weight = true}, true},
        Case{"softmax_selected_top1", {.score = kSelected, .top_k = 1}},
        Case{"softmax_selected", {.score = kSelected, .top_k = 3}},
        Case{"softmax_selected_bias", {.score = kSelected, .top_k = 2, .bias_in_weight = true}, true},
        Case{"softmax_selected_normalised", {.score = kSelected, .top_k = 2, .normalise = true, .scale = 2}},
        Case{"noise", {.top_k = 2}, false, true},
        Case{"noise_softmax_selected", {.score = kSelected, .top_k = 2, .bias_in_weight = true}, true, true}),
    ::testing::PrintToStringParamName());

TEST(BalanceLoss, OfPerfectBalanceIsTheCoefficient) {
  ReferenceOps ops;
  Tensor logits({8, 4});
  Ids experts({8, 1}, {0, 1, 2, 3, 3, 2, 1, 0});
  Scalar loss({1}, {10});

  ops.balance_loss_forward(
      {.logits = logits, .experts = experts, .sequence_length = 8, .coefficient = 0.25f, .loss = loss});

  EXPECT_NEAR(loss[0], 10.25, 1e-9);
}

TEST(BalanceLoss, CountsSharesOfSlotsAndNotOfTokens) {
  ReferenceOps ops;
  Tensor logits({2, 4});
  Ids experts({2, 2}, {0, 1, 2, 3});
  Scalar loss({1});

  ops.balance_loss_forward(
      {.logits = logits, .experts = experts, .sequence_length = 2, .coefficient = 1, .loss = loss});

  EXPECT_NEAR(loss[0], 1, 1e-9);
}

TEST(BalanceLoss, OfCollapseOnOneOfTwoIsTwiceItsProbability) {
  ReferenceOps ops;
  Tensor logits({3, 2}, {2, 0, 2, 0, 2, 0});
  Ids experts({3, 1});
  Scalar loss({1});

  ops.balance_loss_forward(
      {.logits = logits, .experts = experts, .sequence_length = 3, .coefficient = 1, .loss = loss});

  EXPECT_NEAR(loss[0], 2 * 0.8807970779778823, 1e-9);
}

TEST(BalanceLoss, AddsUpOverSequences) {
  ReferenceOps ops;
  Tensor logits = Tensor::random("logits", {6, 3});
  Ids experts({6, 1}, {0, 1, 0, 2, 2, 1});
  Scalar both({1}), apart({1});

  ops.balance_loss_forward(
      {.logits = logits, .experts = experts, .sequence_length = 3, .coefficient = 1, .loss = both});
  for (std::int64_t b = 0; b < 2; ++b) {
    ops.balance_loss_forward({.logits = TensorView(logits).rows(3 * b, 3 * b + 3),
                              .experts = TensorView(experts).rows(3 * b, 3 * b + 3),
                              .sequence_length = 3,
                              .coefficient = 1,
                              .loss = apart});
  }

  EXPECT_NEAR(both[0], apart[0], 1e-12);
}

class BalanceLossGradients : public ::testing::TestWithParam<std::int64_t> {};

TEST_P(BalanceLossGradients, MatchDifferencesAndAreAdded) {
  ReferenceOps ops;
  Tensor logits = Tensor::random("logits", {6, 4}, GetParam()), dlogits({6, 4}, {}, GetParam());
  Ids experts({6, 2}, {0, 1, 0, 2, 0, 1, 3, 1, 3, 2, 0, 3});
  const BalanceLossBackward backward{
      .logits = logits, .experts = experts, .sequence_length = 3, .coefficient = 0.7f, .dlogits = dlogits};

  ops.balance_loss_backward(backward);
  EXPECT_TRUE(is_gradient(dlogits, logits, [&] {
    Scalar loss({1});
    ops.balance_loss_forward(
        {.logits = logits, .experts = experts, .sequence_length = 3, .coefficient = 0.7f, .loss = loss});
    return loss[0];
  }));

  const std::vector<float> once = dlogits.values();
  ops.balance_loss_backward(backward);
  for (std::int64_t i = 0; i < 24; ++i)
    EXPECT_FLOAT_EQ(dlogits[i], 2 * once[static_cast<std::size_t>(i)]) << i;
}

INSTANTIATE_TEST_SUITE_P(Gaps, BalanceLossGradients, ::testing::Values(0, 3));

}  // namespace
}  // namespace caravan::testing
