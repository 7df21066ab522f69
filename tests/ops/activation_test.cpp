#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "caravan/error.hpp"
#include "caravan/reference_ops.hpp"
#include "tests/ops/gradient_check.hpp"
#include "tests/support/message_of.hpp"

namespace caravan::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

TEST(Swiglu, GateIsTheFirstHalf) {
  ReferenceOps ops;
  Tensor gate_up({1, 4}, {1.761594f, 0, 1.5f, 9}), out({1, 2});

  ops.swiglu_forward({.gate_up = gate_up, .out = out});

  EXPECT_THAT(out.values(), ElementsAre(FloatNear(1.503361f * 1.5f, 2e-6f), 0));
}

TEST(Swiglu, OfLargeMagnitudesStaysFinite) {
  ReferenceOps ops;
  Tensor gate_up({1, 4}, {1000, -1000, 2, 2}), out({1, 2}), dout({1, 2}, {1, 1}), dgate_up({1, 4});

  ops.swiglu_forward({.gate_up = gate_up, .out = out});
  ops.swiglu_backward({.gate_up = gate_up, .dout = dout, .dgate_up = dgate_up});

  EXPECT_THAT(out.values(), ElementsAre(2000, FloatNear(0, 1e-30f)));
  EXPECT_THAT(dgate_up.values(), ElementsAre(2, FloatNear(0, 1e-30f), 1000, FloatNear(0, 1e-30f)));
}

TEST(Gelu, HasTheKnownValues) {
  ReferenceOps ops;
  Tensor x({1, 4}, {0, 1, -1, 3}), out({1, 4});

  ops.gelu_forward({.x = x, .out = out});

  EXPECT_THAT(out.values(), ElementsAre(0, FloatNear(0.8413447f, 1e-6f), FloatNear(-0.1586553f, 1e-6f),
                                        FloatNear(2.9959503f, 1e-6f)));
}

class ActivationGradients : public ::testing::TestWithParam<std::int64_t> {
 protected:
  ReferenceOps ops;
  std::int64_t gap = GetParam();
  Tensor dout = Tensor::random("dout", {3, 4}, gap), out{{3, 4}, {}, gap};
};

TEST_P(ActivationGradients, OfSwigluMatchDifferences) {
  Tensor gate_up = Tensor::random("gate_up", {3, 8}, gap), dgate_up({3, 8}, {}, gap);

  ops.swiglu_backward({.gate_up = gate_up, .dout = dout, .dgate_up = dgate_up});

  EXPECT_TRUE(is_gradient(dgate_up, gate_up, [&] {
    ops.swiglu_forward({.gate_up = gate_up, .out = out});
    return weighted_sum(dout, out);
  }));
}

TEST_P(ActivationGradients, OfSwigluMayReplaceTheInput) {
  Tensor gate_up = Tensor::random("gate_up", {3, 8}, gap), dgate_up({3, 8}, {}, gap);
  ops.swiglu_backward({.gate_up = gate_up, .dout = dout, .dgate_up = dgate_up});

  ops.swiglu_backward({.gate_up = gate_up, .dout = dout, .dgate_up = gate_up});

  EXPECT_EQ(gate_up.values(), dgate_up.values());
}

TEST_P(ActivationGradients, OfGeluMatchDifferences) {
  Tensor x = Tensor::random("x", {3, 4}, gap), dx({3, 4}, {}, gap);

  ops.gelu_backward({.x = x, .dout = dout, .dx = dx});

  EXPECT_TRUE(is_gradient(dx, x, [&] {
    ops.gelu_forward({.x = x, .out = out});
    return weighted_sum(dout, out);
  }));
}

INSTANTIATE_TEST_SUITE_P(Gaps, ActivationGradients, ::testing::Values(0, 3));

TEST(Dropout, KeepsTheShareAndTheMean) {
  ReferenceOps ops;
  Tensor x({100, 100}, std::vector<float>(10000, 1));

  ops.dropout({.x = x, .probability = 0.25f, .key = {1, 2}});

  std::int64_t dropped = 0;
  for (float value : x.values()) dropped += value == 0 ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(dropped), 2500, 4 * std::sqrt(10000 * 0.25 * 0.75));
  for (float value : x.values()) ASSERT_FLOAT_EQ(value, value == 0 ? 0 : 4.0f / 3);
}

TEST(Dropout, DependsOnTheGlobalRowAlone) {
  ReferenceOps ops;
  Tensor whole({4, 6}, std::vector<float>(24, 1)), half({2, 6}, std::vector<float>(12, 1));

  ops.dropout({.x = whole, .probability = 0.5f, .key = {1, 2}, .rows = TokenMap::whole(10, 1)});
  ops.dropout({.x = half, .probability = 0.5f, .key = {1, 2}, .rows = TokenMap::whole(12, 1)});

  for (std::int64_t i = 0; i < 12; ++i) EXPECT_EQ(half[i], whole[12 + i]) << i;
}

/// Two sequences of 8 tokens, of which a context rank has positions 0, 1, 6 and 7.
TEST(Dropout, OfBlocksDrawsWhatThoseTokensDrawInWholeSequences) {
  ReferenceOps ops;
  Tensor whole({16, 6}, std::vector<float>(96, 1)), blocks({8, 6}, std::vector<float>(48, 1));
  const TokenMap rows = TokenMap::context(5, 8, 2, 0);

  ops.dropout({.x = whole, .probability = 0.5f, .key = {1, 2}, .rows = TokenMap::whole(5, 8)});
  ops.dropout({.x = blocks, .probability = 0.5f, .key = {1, 2}, .rows = rows});

  for (std::int64_t i = 0; i < 48; ++i)
    EXPECT_EQ(blocks[i], whole[(rows.token(i / 6) - 5 * 8) * 6 + i % 6]) << i;
}

TEST(Dropout, RefusesToDropEverything) {
  ReferenceOps ops;
  Tensor x({1, 1});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.dropout({.x = x, .probability = 1}); }),
            "dropout on device 'reference': dropout probability 1 (must be in [0, 1))");
}

TEST(Add, AddsInPlace) {
  ReferenceOps ops;
  Tensor x({3}, {1, 2, 3}), y({3}, {10, 20, 30});

  ops.add({.x = x, .y = y});

  EXPECT_THAT(y.values(), ElementsAre(11, 22, 33));
}

TEST(Add, RefusesGaps) {
  ReferenceOps ops;
  Tensor x({2, 2}, {}, 1), y({2, 2});

  EXPECT_EQ(message_of<DeviceError>([&] { ops.add({.x = x, .y = y}); }),
            "add on device 'reference': 'x' has gaps between its rows (needs contiguous memory)");
}

}  // namespace
}  // namespace caravan::testing
