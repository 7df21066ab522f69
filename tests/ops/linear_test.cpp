#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

/// T 3, N 4, M 5 with and without gaps between rows.
class LinearGradients : public ::testing::TestWithParam<std::int64_t> {
 protected:
  double loss() {
    ops.linear_forward({.x = x, .w = w, .bias = bias, .y = y});
    return weighted_sum(dy, y);
  }

  ReferenceOps ops;
  std::int64_t gap = GetParam();
  Tensor x = Tensor::random("x", {3, 5}, gap), w = Tensor::random("w", {4, 5}, gap);
  Tensor bias = Tensor::random("bias", {4}), dy = Tensor::random("dy", {3, 4}, gap), y{{3, 4}, {}, gap};
};

TEST_P(LinearGradients, OfInputMatchDifferences) {
  Tensor dx({3, 5}, {}, gap);

  ops.linear_backward_input({.dy = dy, .w = w, .dx = dx});

  EXPECT_TRUE(is_gradient(dx, x, [&] { return loss(); }));
}

TEST_P(LinearGradients, OfWeightAndBiasMatchDifferences) {
  Tensor dw({4, 5}, {}, gap), dbias({4});

  ops.linear_backward_weight({.x = x, .dy = dy, .dw = dw, .dbias = dbias});

  EXPECT_TRUE(is_gradient(dw, w, [&] { return loss(); }));
  EXPECT_TRUE(is_gradient(dbias, bias, [&] { return loss(); }));
}

TEST_P(LinearGradients, OfWeightAreAdded) {
  Tensor once({4, 5}, {}, gap), twice({4, 5}, {}, gap), dbias_once({4}), dbias_twice({4});
  ops.linear_backward_weight({.x = x, .dy = dy, .dw = once, .dbias = dbias_once});
  for (int i = 0; i < 2; ++i)
    ops.linear_backward_weight({.x = x, .dy = dy, .dw = twice, .dbias = dbias_twice});

  for (std::int64_t i = 0; i < once.size(); ++i) EXPECT_FLOAT_EQ(twice[i], 2 * once[i]) << i;
  for (std::int64_t i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(dbias_twice[i], 2 * dbias_once[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(Gaps, LinearGradients, ::testing::Values(0, 3));

TEST(Linear, MultipliesByTheTransposeAndAddsBiasAndResidual) {
  ReferenceOps ops;
  Tensor x({1, 2}, {1, 2}), w({2, 2}, {3, 4, 5, 6}), bias({2}, {10, 20}), residual({1, 2}, {100, 200}),
      y({1, 2});

  ops.linear_forward({.x = x, .w = w, .bias = bias, .residual = residual, .y = y});

  EXPECT_THAT(y.values(), ElementsAre(121, 237));
}

TEST(Linear, ResidualMayBeTheOutput) {
  ReferenceOps ops;
  Tensor x({1, 2}, {1, 2}), w({2, 2}, {3, 4, 5, 6}), y({1, 2}, {100, 200});

  ops.linear_forward({.x = x, .w = w, .residual = y, .y = y});

  EXPECT_THAT(y.values(), ElementsAre(111, 217));
}

TEST(Linear, InputGradientAccumulatesOnRequestOnly) {
  ReferenceOps ops;
  Tensor dy({1, 2}, {1, 2}), w({2, 1}, {3, 4}), dx({1, 1}, {100});

  ops.linear_backward_input({.dy = dy, .w = w, .dx = dx, .accumulate = true});
  EXPECT_EQ(dx[0], 111);
  ops.linear_backward_input({.dy = dy, .w = w, .dx = dx});
  EXPECT_EQ(dx[0], 11);
}

TEST(Linear, RefusesAnotherTypeByNameOfOperatorArgumentAndType) {
  ReferenceOps ops;
  Tensor x({1, 2}), w({2, 2}), y({1, 2});
  TensorView halves = w;
  halves.dtype = DType::bf16;

  EXPECT_EQ(
      message_of<DeviceError>([&] { ops.linear_forward({.x = x, .w = halves, .y = y}); }),
      "linear_forward on device 'reference': 'w' is bf16 ('x' is f32, and one call computes in one type)");
}

TEST(Linear, RefusesShapesThatDoNotFit) {
  ReferenceOps ops;
  Tensor x({1, 2}), w({2, 2}), y({1, 3});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.linear_forward({.x = x, .w = w, .y = y}); }),
            "linear_forward on device 'reference': 'y' has shape [1, 3] (needs [1, 2])");
}

TEST(Linear, RefusesAnEmptyViewWhereMemoryIsNeeded) {
  ReferenceOps ops;
  Tensor x({1, 2}), y({1, 2});
  const TensorView nothing(nullptr, DType::f32, {2, 2});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.linear_forward({.x = x, .w = nothing, .y = y}); }),
            "linear_forward on device 'reference': 'w' of shape [2, 2] is empty (needs memory)");
}

}  // namespace
}  // namespace caravan::testing
