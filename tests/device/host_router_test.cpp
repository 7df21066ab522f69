#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "caravan/random.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/device/host_fixture.hpp"
#include "tests/support/message_of.hpp"

// What decides between experts must be the reference's to the bit: one other choice and a run goes another
// way.
namespace caravan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct RuleCase {
  std::string name;
  RouterRule rule;
};

void PrintTo(const RuleCase& c, std::ostream* out) {
  *out << c.name;
}

constexpr std::int64_t kTokens = 3000, kExperts = 24;

/// Results of routing kTokens tokens, and the memory that they are made in.
struct Routed {
  std::vector<float> logits, noise, bias, weights, counts;
  std::vector<std::int32_t> experts, offsets, row_of, choice_of;

  /// Logits in steps of 1/16, so that equals and near equals are common.
  explicit Routed(std::int64_t top_k)
      : weights(static_cast<std::size_t>(kTokens * top_k)),
        counts(kExperts),
        experts(weights.size()),
        offsets(kExperts + 1),
        row_of(weights.size()),
        choice_of(weights.size()) {
    for (std::int64_t i = 0; i < kTokens * kExperts; ++i) {
      logits.push_back(std::round(32 * normal({1, 1}, 0, static_cast<std::uint64_t>(i))) / 16);
      noise.push_back(normal({1, 2}, 0, static_cast<std::uint64_t>(i)));
    }
    for (std::uint64_t e = 0; e < kExperts; ++e) bias.push_back(0.001f * std::round(normal({1, 3}, 0, e)));
  }

  void run(Ops& ops, const RouterRule& rule, bool noisy) {
    RouteForward args;
    args.routed.rule = rule;
    args.routed.logits = TensorView(logits.data(), DType::f32, {kTokens, kExperts});
    if (noisy) args.routed.noise_std = TensorView(noise.data(), DType::f32, {kTokens, kExperts});
    args.routed.noise_key = {5, 6};
    args.routed.bias = TensorView(bias.data(), DType::f32, {kExperts});
    args.routed.experts = TensorView(experts.data(), DType::i32, {kTokens, rule.top_k});
    args.routed.weights = TensorView(weights.data(), DType::f32, {kTokens, rule.top_k});
    args.offsets = TensorView(offsets.data(), DType::i32, {kExperts + 1});
    args.row_of = TensorView(row_of.data(), DType::i32, {kTokens, rule.top_k});
    args.choice_of = TensorView(choice_of.data(), DType::i32, {kTokens * rule.top_k});
    args.counts = TensorView(counts.data(), DType::f32, {kExperts});
    ops.route_forward(args);
  }
};

void expect_same(const Routed& host, const Routed& reference) {
  EXPECT_EQ(host.logits, reference.logits);
  EXPECT_EQ(host.experts, reference.experts);
  EXPECT_EQ(host.weights, reference.weights);
  EXPECT_EQ(host.offsets, reference.offsets);
  EXPECT_EQ(host.row_of, reference.row_of);
  EXPECT_EQ(host.choice_of, reference.choice_of);
  EXPECT_EQ(host.counts, reference.counts);
  EXPECT_EQ(std::accumulate(host.counts.begin(), host.counts.end(), 0.0f),
            static_cast<float>(host.experts.size()));
}

class HostRouter : public ::testing::TestWithParam<RuleCase> {};

TEST_P(HostRouter, chooses_and_weighs_as_the_reference_to_the_bit) {
  const RouterRule& rule = GetParam().rule;
  ReferenceOps reference_ops;
  for (const bool noisy : {false, true}) {
    Routed host(rule.top_k), reference(rule.top_k);
    host.run(host_device().ops(), rule, noisy);
    reference.run(reference_ops, rule, noisy);
    expect_same(host, reference);
  }
}

std::vector<RuleCase> rules() {
  using enum ScoreFunction;
  return {
      {"sigmoid", {.score = sigmoid, .top_k = 1}},
      {"sigmoid_top3", {.score = sigmoid, .top_k = 3, .normalise = true, .scale = 2.5f}},
      {"sigmoid_bias_in_weight", {.score = sigmoid, .top_k = 2, .bias_in_weight = true}},
      {"groups", {.score = sigmoid, .top_k = 4, .groups = 6, .limited_groups = 3}},
      {"groups_of_one", {.score = sigmoid, .top_k = 2, .groups = 24, .limited_groups = 5}},
      {"softmax", {.score = softmax, .top_k = 2}},
      {"softmax_groups", {.score = softmax, .top_k = 2, .normalise = true, .groups = 3, .limited_groups = 2}},
      {"softmax_bias_in_weight", {.score = softmax, .top_k = 2, .bias_in_weight = true}},
      {"softmax_selected", {.score = softmax_selected, .top_k = 4}},
      {"softmax_selected_bias", {.score = softmax_selected, .top_k = 2, .bias_in_weight = true}}};
}

INSTANTIATE_TEST_SUITE_P(Rules, HostRouter, ::testing::ValuesIn(rules()),
                         [](const auto& test) { return test.param.name; });

TEST(HostRouterBias, equals_the_reference_to_the_bit_over_many_updates) {
  ReferenceOps reference;
  for (const bool centre : {false, true}) {
    std::vector<float> bias[2] = {std::vector<float>(kExperts), std::vector<float>(kExperts)};
    for (std::uint64_t step = 0; step < 200; ++step) {
      Ops* ops[2] = {&host_device().ops(), &reference};
      for (int device = 0; device < 2; ++device) {
        std::vector<float> counts;
        for (std::uint64_t e = 0; e < kExperts; ++e)
          counts.push_back(std::floor(9 * uniform({2, 2}, step, e)));
        ops[device]->expert_bias_update({TensorView(counts.data(), DType::f32, {kExperts}),
                                         TensorView(bias[device].data(), DType::f32, {kExperts}), 0.0037f,
                                         centre});
        EXPECT_EQ(counts, std::vector<float>(kExperts));
      }
    }
    EXPECT_EQ(bias[0], bias[1]);
    EXPECT_NE(bias[0], std::vector<float>(kExperts));
  }
}

TEST(HostRouterErrors, name_a_rule_that_does_not_fit_the_experts) {
  Routed routed(25);
  const auto message = [&](const RouterRule& rule) {
    return message_of<DeviceError>([&] { routed.run(host_device().ops(), rule, false); });
  };
  EXPECT_THAT(message({.top_k = 25}),
              HasSubstr("route_forward on device 'host': top_k 25 of 24 eligible experts"));
  EXPECT_THAT(message({.top_k = 9, .groups = 3, .limited_groups = 1}),
              HasSubstr("top_k 9 of 8 eligible experts"));
  EXPECT_THAT(message({.top_k = 1, .groups = 5, .limited_groups = 1}),
              HasSubstr("1 of 5 groups of 24 experts"));
}

TEST(HostRouterErrors, name_an_expert_that_does_not_exist) {
  float logits[3] = {}, loss = 0, dlogits[3] = {};
  std::int32_t chosen = 3;
  BalanceLossBackward args;
  args.logits = TensorView(logits, DType::f32, {1, 3}),
  args.experts = TensorView(&chosen, DType::i32, {1, 1});
  args.sequence_length = 1, args.dlogits = TensorView(dlogits, DType::f32, {1, 3});
  EXPECT_THAT(message_of<DeviceError>([&] { host_device().ops().balance_loss_backward(args); }),
              HasSubstr("balance_loss_backward on device 'host': expert 3 of token 0 (there are 3)"));
  RouteBackward back;
  back.routed.logits = args.logits, back.routed.experts = args.experts, back.dlogits = args.dlogits;
  back.routed.weights = back.dweights = TensorView(&loss, DType::f32, {1, 1});
  chosen = -1;
  EXPECT_THAT(message_of<DeviceError>([&] { host_device().ops().route_backward(back); }),
              HasSubstr("route_backward on device 'host': expert -1 of token 0 (there are 3)"));
  EXPECT_THAT(dlogits, ElementsAre(0, 0, 0));
}

}  // namespace
}  // namespace caravan::testing
