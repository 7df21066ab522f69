#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;

struct Case {
  const char* name;
  std::int64_t tokens, top_k;
  bool weighted;
  std::vector<std::int32_t> row_of;
  std::int64_t gap = 0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

/// Width 3.
class PermuteGradients : public ::testing::TestWithParam<Case> {
 protected:
  PermuteGradients() {
    for (std::int64_t choice = 0; choice < rows; ++choice)
      choice_of[row_of[choice]] = static_cast<std::int32_t>(choice);
  }
  TensorView given_weights() { return GetParam().weighted ? TensorView(weights) : TensorView(); }
  TensorView only_with_weights(Tensor& tensor) {
    return GetParam().weighted ? TensorView(tensor) : TensorView();
  }

  double permute_loss() {
    ops.permute_forward(
        {.x = x, .choice_of = choice_of, .weights = given_weights(), .top_k = top_k, .out = sorted});
    return weighted_sum(dsorted, sorted);
  }
  double combine_loss() {
    ops.combine_forward({.rows = sorted, .row_of = row_of, .weights = given_weights(), .y = y});
    return weighted_sum(dy, y);
  }

  ReferenceOps ops;
  std::int64_t tokens = GetParam().tokens, top_k = GetParam().top_k, rows = tokens * top_k,
               gap = GetParam().gap;
  Ids row_of{{tokens, top_k}, GetParam().row_of}, choice_of{{rows}};
  Tensor weights = Tensor::random("weights", {tokens, top_k});
  Tensor x = Tensor::random("x", {tokens, 3}, gap), sorted = Tensor::random("rows", {rows, 3}, gap);
  Tensor dsorted = Tensor::random("drows", {rows, 3}, gap), dy = Tensor::random("dy", {tokens, 3}, gap);
  Tensor y{{tokens, 3}, {}, gap};
};

TEST_P(PermuteGradients, OfPermuteMatchDifferences) {
  Tensor dx({tokens, 3}, {}, gap), dweights({tokens, top_k});

  ops.permute_backward({.x = only_with_weights(x),
                        .dout = dsorted,
                        .row_of = row_of,
                        .weights = given_weights(),
                        .dx = dx,
                        .dweights = only_with_weights(dweights)});

  EXPECT_TRUE(is_gradient(dx, x, [&] { return permute_loss(); }));
  EXPECT_TRUE(is_gradient(dweights, weights, [&] { return permute_loss(); }));
}

TEST_P(PermuteGradients, OfPermuteAreAddedOnRequest) {
  Tensor plain({tokens, 3}, {}, gap), dx = Tensor::random("dx", {tokens, 3}, gap), dweights({tokens, top_k});
  const Tensor before = dx;
  PermuteBackward args{.x = only_with_weights(x),
                       .dout = dsorted,
                       .row_of = row_of,
                       .weights = given_weights(),
                       .dx = plain,
                       .dweights = only_with_weights(dweights)};
  ops.permute_backward(args);

  args.dx = dx;
  args.accumulate = true;
  ops.permute_backward(args);

  for (std::int64_t i = 0; i < dx.size(); ++i) EXPECT_NEAR(dx[i], before[i] + plain[i], 1e-6) << i;
}

TEST_P(PermuteGradients, OfCombineMatchDifferences) {
  Tensor drows({rows, 3}, {}, gap), dweights({tokens, top_k});

  ops.combine_backward({.dy = dy,
                        .rows = only_with_weights(sorted),
                        .row_of = row_of,
                        .weights = given_weights(),
                        .drows = drows,
                        .dweights = only_with_weights(dweights)});

  EXPECT_TRUE(is_gradient(drows, sorted, [&] { return combine_loss(); }));
  EXPECT_TRUE(is_gradient(dweights, weights, [&] { return combine_loss(); }));
}

TEST_P(PermuteGradients, CombineAfterPlainPermuteMultipliesByTopK) {
  ops.permute_forward({.x = x, .choice_of = choice_of, .top_k = top_k, .out = sorted});
  ops.combine_forward({.rows = sorted, .row_of = row_of, .y = y});

  for (std::int64_t i = 0; i < x.size(); ++i) EXPECT_FLOAT_EQ(y[i], static_cast<float>(top_k) * x[i]) << i;
}

INSTANTIATE_TEST_SUITE_P(Cases, PermuteGradients,
                         ::testing::Values(Case{"one", 1, 1, true, {0}},
                                           Case{"top1", 4, 1, true, {2, 0, 3, 1}},
                                           Case{"top1_plain", 4, 1, false, {2, 0, 3, 1}},
                                           Case{"top2", 3, 2, true, {4, 1, 0, 5, 3, 2}},
                                           Case{"top2_plain", 3, 2, false, {4, 1, 0, 5, 3, 2}},
                                           Case{"top3", 2, 3, true, {5, 0, 2, 4, 1, 3}},
                                           Case{"gaps", 3, 2, true, {4, 1, 0, 5, 3, 2}, 3}),
                         ::testing::PrintToStringParamName());

TEST(Combine, AddsItsBase) {
  ReferenceOps ops;
  Tensor rows({2, 1}, {2, 3}), weights({1, 2}, {10, 100}), base({1, 1}, {7});
  Ids row_of({1, 2}, {1, 0});

  ops.combine_forward({.rows = rows, .row_of = row_of, .weights = weights, .base = base, .y = base});

  EXPECT_THAT(base.values(), ElementsAre(237));
}

TEST(Permute, RefusesASlotThatDoesNotExist) {
  ReferenceOps ops;
  Tensor x({2, 1}), out({2, 1});
  Ids choice_of({2}, {0, 2});

  EXPECT_EQ(
      message_of<DeviceError>([&] { ops.permute_forward({.x = x, .choice_of = choice_of, .out = out}); }),
      "permute_forward on device 'reference': choice 2 of row 1 (there are 2 tokens with top_k 1)");
}

TEST(Combine, RefusesARowThatDoesNotExist) {
  ReferenceOps ops;
  Tensor rows({1, 1}), y({2, 1});
  Ids row_of({2, 1}, {0, -2});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.combine_forward({.rows = rows, .row_of = row_of, .y = y}); }),
            "combine_forward on device 'reference': row -2 of token 1 (there are 1)");
}

}  // namespace
}  // namespace caravan::testing
