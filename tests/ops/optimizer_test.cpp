#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::FloatEq;

/// One parameter, β 0.9 and 0.95, learning rate 0.1.
struct OneParameter {
  AdamWStep args(std::int64_t step) {
    return {.master = master,
            .grad = grad,
            .exp_avg = m,
            .exp_avg_sq = v,
            .lr = 0.1,
            .beta1 = 0.9,
            .beta2 = 0.95,
            .eps = 1e-8,
            .weight_decay = 0.5,
            .step = step,
            .gradient_scale = scale};
  }
  Tensor master{{1}, {1}}, grad{{1}}, m{{1}}, v{{1}}, scale{{1}, {1}};
};

/// By hand, gradients 1, −2, 0.5 and decay 0.1·0.5 = 5 % a step:
///   m: 0.1, −0.11, −0.049; v: 0.05, 0.2475, 0.247625.
///   step 1: m̂ = 1, v̂ = 1: 1 − 0.05 − 0.1 = 0.85.
///   step 2: m̂ = −0.11/0.19 = −0.57894737, v̂ = 0.2475/0.0975 = 2.53846154: 0.8075 + 0.1·0.36337395 =
///   0.84383740. step 3: m̂ = −0.049/0.271 = −0.18081181, v̂ = 0.247625/0.142625 = 1.73619632:
///           0.84383740·0.95 + 0.1·0.13722315 = 0.81536784.
TEST(AdamW, TakesThreeStepsAsByHand) {
  ReferenceOps ops;
  OneParameter p;
  const float gradients[] = {1, -2, 0.5f}, expected[] = {0.85f, 0.84383740f, 0.81536784f};

  for (std::int64_t step = 1; step <= 3; ++step) {
    p.grad[0] = gradients[step - 1];
    ops.adamw_step(p.args(step));
    EXPECT_NEAR(p.master[0], expected[step - 1], 2e-7) << "step " << step;
  }

  EXPECT_FLOAT_EQ(p.m[0], -0.049f);
  EXPECT_FLOAT_EQ(p.v[0], 0.247625f);
}

TEST(AdamW, ScalesGradientsWhenItReadsThem) {
  ReferenceOps ops;
  OneParameter scaled, plain;
  scaled.grad[0] = 8;
  scaled.scale[0] = 0.25f;
  plain.grad[0] = 2;

  ops.adamw_step(scaled.args(1));
  ops.adamw_step(plain.args(1));

  EXPECT_EQ(scaled.m[0], plain.m[0]);
  EXPECT_EQ(scaled.v[0], plain.v[0]);
  EXPECT_EQ(scaled.grad[0], 8);
}

TEST(AdamW, RefreshesTheComputeCopy) {
  ReferenceOps ops;
  OneParameter p;
  Tensor copy({1});
  p.grad[0] = 1;
  AdamWStep args = p.args(1);
  args.weight = copy;

  ops.adamw_step(args);

  EXPECT_FLOAT_EQ(copy[0], 0.85f);
}

TEST(AdamW, WithoutGradientDecaysOnly) {
  ReferenceOps ops;
  OneParameter p;

  ops.adamw_step(p.args(1));

  EXPECT_FLOAT_EQ(p.master[0], 0.95f);
}

TEST(AdamW, RefusesStepZero) {
  ReferenceOps ops;
  OneParameter p;

  EXPECT_EQ(message_of<DeviceError>([&] { ops.adamw_step(p.args(0)); }),
            "adamw_step on device 'reference': step 0 (the first step is 1)");
}

TEST(AdamW, RefusesUnequalCounts) {
  ReferenceOps ops;
  OneParameter p;
  Tensor two({2});
  AdamWStep args = p.args(1);
  args.grad = two;

  EXPECT_EQ(message_of<DeviceError>([&] { ops.adamw_step(args); }),
            "adamw_step on device 'reference': 'grad' has 2 elements (needs 1)");
}

TEST(SumOfSquares, IsAddedInDouble) {
  ReferenceOps ops;
  Tensor x({2, 2}, {1, 2, 3, 1e4f});
  Scalar out({1}, {0.5});

  ops.sum_of_squares({.x = x, .out = out});

  EXPECT_DOUBLE_EQ(out[0], 100000014.5);
}

}  // namespace
}  // namespace caravan::testing
