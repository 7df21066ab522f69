#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

TEST(RmsNorm, OfThreeAndFourHasTheKnownValues) {
  ReferenceOps ops;
  Tensor x({1, 2}, {3, 4}), weight({2}, {1, 1}), y({1, 2}), rstd({1});

  ops.rmsnorm_forward({.x = x, .weight = weight, .y = y, .rstd = rstd, .eps = 0});

  EXPECT_THAT(y.values(), ElementsAre(FloatNear(0.848528f, 1e-6f), FloatNear(1.131371f, 1e-6f)));
  EXPECT_FLOAT_EQ(rstd[0], 1 / std::sqrt(12.5f));
}

TEST(RmsNorm, DoesNotSeeTheScaleOfLargeInputs) {
  ReferenceOps ops;
  Tensor x = Tensor::random("x", {1, 8}, 0, 100), weight = Tensor::random("weight", {8}), y({1, 8}),
         y10({1, 8}), rstd({1});
  ops.rmsnorm_forward({.x = x, .weight = weight, .y = y, .rstd = rstd});
  for (std::int64_t i = 0; i < 8; ++i) x[i] *= 10;

  ops.rmsnorm_forward({.x = x, .weight = weight, .y = y10, .rstd = rstd});

  for (std::int64_t i = 0; i < 8; ++i) EXPECT_NEAR(y10[i], y[i], 1e-6 * std::abs(y[i])) << i;
}

TEST(RmsNorm, EpsilonStandsInsideTheMean) {
  ReferenceOps ops;
  Tensor x({1, 2}, {3, 4}), weight({2}, {2, 1}), y({1, 2}), rstd({1});

  ops.rmsnorm_forward({.x = x, .weight = weight, .y = y, .rstd = rstd, .eps = 3.5f});

  EXPECT_THAT(y.values(), ElementsAre(FloatEq(1.5f), FloatEq(1.0f)));
}

/// T 3, H 5.
class RmsNormGradients : public ::testing::TestWithParam<std::int64_t> {
 protected:
  double loss() {
    ops.rmsnorm_forward({.x = x, .weight = weight, .y = y, .rstd = rstd, .eps = 0.1f});
    return weighted_sum(dy, y);
  }

  ReferenceOps ops;
  std::int64_t gap = GetParam();
  Tensor x = Tensor::random("x", {3, 5}, gap), weight = Tensor::random("weight", {5});
  Tensor dy = Tensor::random("dy", {3, 5}, gap), y{{3, 5}, {}, gap}, rstd{{3}};
};

TEST_P(RmsNormGradients, OfInputMatchDifferences) {
  Tensor dx({3, 5}, {}, gap);
  loss();

  ops.rmsnorm_backward_input({.x = x, .weight = weight, .rstd = rstd, .dy = dy, .dx = dx});

  EXPECT_TRUE(is_gradient(dx, x, [&] { return loss(); }));
}

TEST_P(RmsNormGradients, OfWeightMatchDifferencesAndAreAdded) {
  Tensor dweight({5});
  loss();

  ops.rmsnorm_backward_weight({.x = x, .rstd = rstd, .dy = dy, .dweight = dweight});
  EXPECT_TRUE(is_gradient(dweight, weight, [&] { return loss(); }));

  const std::vector<float> once = dweight.values();
  ops.rmsnorm_backward_weight({.x = x, .rstd = rstd, .dy = dy, .dweight = dweight});
  for (std::int64_t h = 0; h < 5; ++h) EXPECT_FLOAT_EQ(dweight[h], 2 * once[h]) << h;
}

TEST_P(RmsNormGradients, OfTheResidualArePassedOn) {
  Tensor plain({3, 5}, {}, gap), residual = Tensor::random("residual", {3, 5}, gap), dx = residual;
  loss();
  ops.rmsnorm_backward_input({.x = x, .weight = weight, .rstd = rstd, .dy = dy, .dx = plain});

  ops.rmsnorm_backward_input({.x = x, .weight = weight, .rstd = rstd, .dy = dy, .residual = dx, .dx = dx});

  for (std::int64_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], plain[i] + residual[i], 1e-6) << i;
}

INSTANTIATE_TEST_SUITE_P(Gaps, RmsNormGradients, ::testing::Values(0, 3));

}  // namespace
}  // namespace caravan::testing
