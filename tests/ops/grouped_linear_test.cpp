#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

struct Groups {
  const char* name;
  std::vector<std::int32_t> offsets;
  std::int64_t gap = 0;
};

void PrintTo(const Groups& groups, std::ostream* out) {
  *out << groups.name;
}

/// 6 rows of width 4, 3 outputs.
class GroupedLinearGradients : public ::testing::TestWithParam<Groups> {
 protected:
  double loss() {
    ops.grouped_linear_forward({.x = x, .offsets = offsets, .w = w, .y = y});
    return weighted_sum(dy, y);
  }

  ReferenceOps ops;
  std::int64_t experts = static_cast<std::int64_t>(GetParam().offsets.size()) - 1, gap = GetParam().gap;
  Ids offsets{{experts + 1}, GetParam().offsets};
  Tensor x = Tensor::random("x", {6, 4}, gap), w = Tensor::random("w", {experts, 3, 4});
  Tensor dy = Tensor::random("dy", {6, 3}, gap), y{{6, 3}, {}, gap};
};

TEST_P(GroupedLinearGradients, OfInputMatchDifferences) {
  Tensor dx({6, 4}, {}, gap);

  ops.grouped_linear_backward_input({.dy = dy, .offsets = offsets, .w = w, .dx = dx});

  EXPECT_TRUE(is_gradient(dx, x, [&] { return loss(); }));
}

TEST_P(GroupedLinearGradients, OfWeightMatchDifferences) {
  Tensor dw({experts, 3, 4});

  ops.grouped_linear_backward_weight({.x = x, .dy = dy, .offsets = offsets, .dw = dw});

  EXPECT_TRUE(is_gradient(dw, w, [&] { return loss(); }));
}

TEST_P(GroupedLinearGradients, ForwardEqualsOneLinearForEachExpert) {
  loss();

  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int32_t begin = GetParam().offsets[e], end = GetParam().offsets[e + 1];
    Tensor expected({6, 3}, {}, gap);
    const TensorView expert_w = TensorView(w).slice(0, e, e + 1).reshape({3, 4});
    ops.linear_forward(
        {.x = TensorView(x).rows(begin, end), .w = expert_w, .y = TensorView(expected).rows(begin, end)});
    for (std::int64_t i = begin * 3; i < end * 3; ++i)
      EXPECT_EQ(y[i], expected[i]) << "expert " << e << ", " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Routings, GroupedLinearGradients,
                         ::testing::Values(Groups{"even", {0, 2, 4, 6}}, Groups{"empty", {0, 0, 5, 5, 6}},
                                           Groups{"all_to_one", {0, 0, 6, 6}}, Groups{"one_expert", {0, 6}},
                                           Groups{"spare_rows", {0, 1, 4}}, Groups{"gaps", {0, 2, 2, 6}, 3}),
                         ::testing::PrintToStringParamName());

TEST(GroupedLinear, LeavesRowsOfNobodyAlone) {
  ReferenceOps ops;
  Ids offsets({2}, {0, 1});
  Tensor x({2, 1}, {2, 3}), w({1, 1, 1}, {5}), y({2, 1}, {-1, -1}), dy({2, 1}, {1, 1}), dx({2, 1}, {-1, -1});

  ops.grouped_linear_forward({.x = x, .offsets = offsets, .w = w, .y = y});
  ops.grouped_linear_backward_input({.dy = dy, .offsets = offsets, .w = w, .dx = dx});

  EXPECT_THAT(y.values(), ElementsAre(10, -1));
  EXPECT_THAT(dx.values(), ElementsAre(5, -1));
}

TEST(GroupedLinear, AnExpertWithoutRowsKeepsItsGradient) {
  ReferenceOps ops;
  Ids offsets({3}, {0, 0, 2});
  Tensor x({2, 1}, {2, 3}), dy({2, 1}, {1, 1}), dw({2, 1, 1}, {7, 7});

  ops.grouped_linear_backward_weight({.x = x, .dy = dy, .offsets = offsets, .dw = dw});

  EXPECT_THAT(dw.values(), ElementsAre(7, 12));
}

TEST(GroupedLinear, RefusesOffsetsBeyondTheRows) {
  ReferenceOps ops;
  Ids offsets({2}, {0, 3});
  Tensor x({2, 1}), w({1, 1, 1}), y({2, 1});

  EXPECT_EQ(
      message_of<DeviceError>(
          [&] { ops.grouped_linear_forward({.x = x, .offsets = offsets, .w = w, .y = y}); }),
      "grouped_linear_forward on device 'reference': offsets[1] is 3 (must ascend from 0 to at most 2 rows)");
}

}  // namespace
}  // namespace caravan::testing
