#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <ostream>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

TEST(CrossEntropy, OfUniformLogitsIsTheLogarithmOfTheVocabulary) {
  ReferenceOps ops;
  Tensor x({2, 1}), w({202048, 1});
  Ids labels({2}, {7, 202047});
  Scalar loss({1});

  ops.linear_cross_entropy({.x = x, .w = w, .labels = labels, .loss_sum = loss});

  EXPECT_NEAR(loss[0], 2 * 12.21626, 1e-4);
  EXPECT_NEAR(loss[0], 2 * std::log(202048.0), 1e-9);
}

TEST(CrossEntropy, OfTwoClassesIsASoftplus) {
  ReferenceOps ops;
  Tensor x({1, 1}, {2}), w({2, 1}, {1, 3}), bias({2}, {0.5f, 0}), logits({1, 2});
  Ids labels({1}, {0});
  Scalar loss({1}, {100});

  ops.linear_cross_entropy(
      {.x = x, .w = w, .bias = bias, .labels = labels, .loss_sum = loss, .logits = logits});

  EXPECT_NEAR(loss[0], 100 + std::log1p(std::exp(6 - 2.5)), 1e-9);
  EXPECT_THAT(logits.values(), ElementsAre(2.5f, 6));
}

TEST(CrossEntropy, OfHugeLogitsStaysFinite) {
  ReferenceOps ops;
  Tensor x({1, 1}, {1e4f}), w({2, 1}, {1, -1}), dx({1, 1});
  Ids labels({1}, {1});
  Scalar loss({1});

  ops.linear_cross_entropy({.x = x, .w = w, .labels = labels, .loss_sum = loss, .dx = dx});

  EXPECT_DOUBLE_EQ(loss[0], 2e4);
  EXPECT_FLOAT_EQ(dx[0], 2);
}

TEST(CrossEntropy, WhereAllLabelsAreIgnoredIsNothing) {
  ReferenceOps ops;
  Tensor x = Tensor::random("x", {3, 2}), w = Tensor::random("w", {4, 2}), dx({3, 2}, {9, 9, 9, 9, 9, 9}),
         dw({4, 2});
  Tensor dbias({4});
  Ids labels({3}, {kIgnoredLabel, kIgnoredLabel, kIgnoredLabel});
  Scalar loss({1}, {5});

  ops.linear_cross_entropy(
      {.x = x, .w = w, .labels = labels, .loss_sum = loss, .dx = dx, .dw = dw, .dbias = dbias});

  EXPECT_EQ(loss[0], 5);
  EXPECT_THAT(dx.values(), Each(0));
  EXPECT_THAT(dw.values(), Each(0));
  EXPECT_THAT(dbias.values(), Each(0));
}

TEST(CrossEntropy, LeavesWeightGradientsAloneInEvaluation) {
  ReferenceOps ops;
  Tensor x = Tensor::random("x", {1, 2}), w = Tensor::random("w", {4, 2}), dw({4, 2});
  Ids labels({1}, {2});
  Scalar loss({1});

  ops.linear_cross_entropy({.x = x, .w = w, .labels = labels, .loss_sum = loss, .dw = dw});

  EXPECT_GT(loss[0], 0);
  EXPECT_THAT(dw.values(), Each(0));
}

TEST(CrossEntropy, RefusesALabelOutsideTheVocabulary) {
  ReferenceOps ops;
  Tensor x({2, 1}), w({4, 1});
  Ids labels({2}, {1, 4});
  Scalar loss({1});

  EXPECT_EQ(message_of<DeviceError>(
                [&] { ops.linear_cross_entropy({.x = x, .w = w, .labels = labels, .loss_sum = loss}); }),
            "linear_cross_entropy on device 'reference': label 4 of token 1 (the vocabulary has 4 entries)");
}

struct Case {
  const char* name;
  std::vector<std::int32_t> labels;
  float gradient_scale = 1;
  std::int64_t gap = 0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

/// T 4, V 5, H 3.
class CrossEntropyGradients : public ::testing::TestWithParam<Case> {
 protected:
  CrossEntropyGradients() {
    Scalar loss({1});
    ops.linear_cross_entropy({.x = x,
                              .w = w,
                              .bias = bias,
                              .labels = labels,
                              .loss_sum = loss,
                              .dx = dx,
                              .dw = dw,
                              .dbias = dbias,
                              .gradient_scale = GetParam().gradient_scale});
  }
  double loss() {
    Scalar total({1});
    ops.linear_cross_entropy({.x = x, .w = w, .bias = bias, .labels = labels, .loss_sum = total});
    return GetParam().gradient_scale * total[0];
  }

  ReferenceOps ops;
  std::int64_t gap = GetParam().gap;
  Ids labels{{4}, GetParam().labels};
  Tensor x = Tensor::random("x", {4, 3}, gap), w = Tensor::random("w", {5, 3}, gap),
         bias = Tensor::random("bias", {5});
  Tensor dx{{4, 3}, {}, gap}, dw{{5, 3}, {}, gap}, dbias{{5}};
};

TEST_P(CrossEntropyGradients, OfInputMatchDifferences) {
  EXPECT_TRUE(is_gradient(dx, x, [&] { return loss(); }));
}

TEST_P(CrossEntropyGradients, OfWeightAndBiasMatchDifferences) {
  EXPECT_TRUE(is_gradient(dw, w, [&] { return loss(); }));
  EXPECT_TRUE(is_gradient(dbias, bias, [&] { return loss(); }));
}

TEST_P(CrossEntropyGradients, OfLogitsSumToZero) {
  const std::vector<float> gradients = dbias.values();

  EXPECT_NEAR(std::accumulate(gradients.begin(), gradients.end(), 0.0), 0, 1e-6);
}

INSTANTIATE_TEST_SUITE_P(Cases, CrossEntropyGradients,
                         ::testing::Values(Case{"all", {0, 4, 2, 2}},
                                           Case{"ignored", {kIgnoredLabel, 4, 2, kIgnoredLabel}},
                                           Case{"scaled", {1, 3, kIgnoredLabel, 0}, 0.125f},
                                           Case{"gaps", {0, kIgnoredLabel, 2, 2}, 2, 3}),
                         ::testing::PrintToStringParamName());

TEST(CrossEntropy, WeightGradientsAreAdded) {
  ReferenceOps ops;
  Tensor x = Tensor::random("x", {4, 3}), w = Tensor::random("w", {5, 3}), dx({4, 3}), dw({5, 3}), dbias({5});
  Ids labels({4}, {0, 1, 2, 3});
  Scalar loss({1});
  const LinearCrossEntropy args{
      .x = x, .w = w, .labels = labels, .loss_sum = loss, .dx = dx, .dw = dw, .dbias = dbias};
  ops.linear_cross_entropy(args);
  const std::vector<float> dw_once = dw.values(), dbias_once = dbias.values(), dx_once = dx.values();

  ops.linear_cross_entropy(args);

  for (std::int64_t i = 0; i < dw.size(); ++i)
    EXPECT_FLOAT_EQ(dw[i], 2 * dw_once[static_cast<std::size_t>(i)]) << i;
  for (std::int64_t i = 0; i < 5; ++i)
    EXPECT_FLOAT_EQ(dbias[i], 2 * dbias_once[static_cast<std::size_t>(i)]) << i;
  EXPECT_EQ(dx.values(), dx_once);
}

}  // namespace
}  // namespace caravan::testing
