#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

constexpr std::int64_t kTokens = 2, kDim = 3, kHidden = 2;

/// down·(silu(gate·x)·(up·x)) of one matrix of each kind.
std::vector<double> swiglu_block(const std::vector<double>& x, const float* gate_up, const float* down) {
  const auto product = [&](std::int64_t n) {
    double sum = 0;
    for (std::int64_t h = 0; h < kDim; ++h) sum += gate_up[n * kDim + h] * x[static_cast<std::size_t>(h)];
    return sum;
  };
  std::vector<double> y(kDim, 0);
  for (std::int64_t f = 0; f < kHidden; ++f) {
    const double gate = product(f), activated = gate / (1 + std::exp(-gate)) * product(kHidden + f);
    for (std::int64_t h = 0; h < kDim; ++h)
      y[static_cast<std::size_t>(h)] += down[h * kHidden + f] * activated;
  }
  return y;
}

/// Token 0 goes to expert 2, token 1 to expert 0; its other choice has no row.
struct Operands {
  Tensor x = Tensor::random("x", {kTokens, kDim}), scores = Tensor::random("scores", {kTokens, 2}),
         gate_up = Tensor::random("gate_up", {3, 2 * kHidden, kDim}),
         down = Tensor::random("down", {3, kDim, kHidden}), activated{{4, kHidden}}, out{{4, kDim}},
         shared_gate_up = Tensor::random("shared_gate_up", {2 * kHidden, kDim}),
         shared_down = Tensor::random("shared_down", {kDim, kHidden}), shared_activated{{kTokens, kHidden}},
         base = Tensor::random("base", {kTokens, kDim}), y{{kTokens, kDim}};
  Ids offsets{{4}, {0, 1, 1, 2}}, row_of{{kTokens, 2}, {1, -1, -1, 0}}, choice_of{{4}, {3, 0, -1, -1}};

  DecodeExperts args() {
    return {.x = x,
            .offsets = offsets,
            .row_of = row_of,
            .choice_of = choice_of,
            .gate_up = gate_up,
            .down = down,
            .activated = activated,
            .out = out,
            .y = y};
  }
  /// Σ over the token's one choice with a row.
  std::vector<double> routed(std::int64_t token, bool on_input) {
    const std::int64_t expert = token == 0 ? 2 : 0, k = token == 0 ? 0 : 1;
    const double score = scores[token * 2 + k];
    std::vector<double> in;
    for (std::int64_t h = 0; h < kDim; ++h) in.push_back(x[token * kDim + h] * (on_input ? score : 1));
    std::vector<double> results =
        swiglu_block(in, &gate_up[expert * 2 * kHidden * kDim], &down[expert * kDim * kHidden]);
    for (double& value : results) value *= on_input ? 1 : score;
    return results;
  }
};

TEST(DecodeExperts, AreTheSumOfThoseThatATokenChose) {
  for (const bool on_input : {true, false}) {
    Operands o;
    DecodeExperts args = o.args();
    (on_input ? args.w : args.v) = o.scores;

    ReferenceOps().decode_experts(args);

    for (std::int64_t t = 0; t < kTokens; ++t) {
      const std::vector<double> expected = o.routed(t, on_input);
      for (std::int64_t h = 0; h < kDim; ++h)
        EXPECT_NEAR(o.y[t * kDim + h], expected[static_cast<std::size_t>(h)], 1e-5) << t << " " << h;
    }
  }
}

TEST(DecodeExperts, AddTheSharedOneAndTheBase) {
  Operands o;
  DecodeExperts args = o.args();
  args.w = o.scores, args.base = o.base, args.shared_activated = o.shared_activated;
  args.shared_gate_up = o.shared_gate_up, args.shared_down = o.shared_down;

  ReferenceOps().decode_experts(args);

  for (std::int64_t t = 0; t < kTokens; ++t) {
    std::vector<double> x;
    for (std::int64_t h = 0; h < kDim; ++h) x.push_back(o.x[t * kDim + h]);
    const std::vector<double> routed = o.routed(t, true),
                              shared = swiglu_block(x, &o.shared_gate_up[0], &o.shared_down[0]);
    for (std::int64_t h = 0; h < kDim; ++h) {
      const auto at = static_cast<std::size_t>(h);
      EXPECT_NEAR(o.y[t * kDim + h], o.base[t * kDim + h] + routed[at] + shared[at], 1e-5) << t << " " << h;
    }
  }
}

TEST(DecodeExperts, RefuseRowsOfNoToken) {
  Operands o;
  o.choice_of[0] = 4;

  EXPECT_THAT(message_of<DeviceError>([&] { ReferenceOps().decode_experts(o.args()); }),
              ::testing::HasSubstr("row 0 of expert 0"));
}

}  // namespace
}  // namespace caravan::testing
