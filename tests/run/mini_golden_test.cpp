#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "tests/run/cached_forward.hpp"
#include "tests/run/mini_model.hpp"

// Expected numbers: an evaluation of the formulas in double precision, independent of this code; gradients by
// 5-point differences.
namespace caravan::testing {
namespace {

class MiniGolden : public ::testing::TestWithParam<std::string> {
 protected:
  MiniGolden() : model_(mini::config(), {.device = GetParam()}) { mini::fill(model_); }
  TestModel model_;
};

INSTANTIATE_TEST_SUITE_P(Devices, MiniGolden, ::testing::ValuesIn(devices()),
                         [](const auto& test) { return test.param; });

TEST(MiniModel, weights_follow_the_hash_rule) {
  const double first[] = {-0.225334293, 0.337199895, 0.273096897, -0.25755864};
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_NEAR(mini::hashed(0, i), first[i], 1e-9);
  EXPECT_NEAR(mini::hashed(1, 0), 0.434740262, 1e-9);
}

TEST_P(MiniGolden, loss_is_the_golden_one) {
  EXPECT_NEAR(evaluate(model_, mini::batch()).loss, mini::kLoss, mini::kTolerance);
  EXPECT_NEAR(differentiate(model_, mini::batch()), mini::kLoss, mini::kTolerance);
}

TEST_P(MiniGolden, logits_are_the_golden_ones) {
  const std::vector<float> logits = evaluate(model_, mini::batch()).logits;
  const std::array<double, 4> first{0.20013434, 0.45489205, 0.54845357, 0.43231094};
  const std::array<double, 16> last{
      1.23262373,  1.18179312, 1.552312,   0.40122588, -2.28853217, -0.51401731, -0.84426684, -1.12915138,
      -0.16456717, 0.79755484, 0.03011471, 0.85374083, -1.49316564, 0.03994358,  -0.52088551, 0.05335328};
  for (std::size_t v = 0; v < first.size(); ++v) EXPECT_NEAR(logits[v], first[v], 2e-6) << v;
  for (std::size_t v = 0; v < last.size(); ++v) EXPECT_NEAR(logits[11 * 16 + v], last[v], 2e-6) << v;
}

TEST_P(MiniGolden, tokens_go_to_the_golden_experts) {
  // layers of the stage: embedding, then attention and feed-forward or experts of each decoder layer
  EXPECT_EQ(routes(model_, mini::batch(), 4),
            (std::vector<std::int32_t>{2, 1, 1, 3, 1, 1, 1, 2, 1, 0, 3, 2}));
  EXPECT_EQ(routes(model_, mini::batch(), 8),
            (std::vector<std::int32_t>{2, 2, 2, 0, 2, 2, 0, 3, 2, 2, 2, 0}));
}

struct Expected {
  const char* name;
  std::int64_t index;  // row-major in the part
  double gradient;
};

TEST_P(MiniGolden, gradients_are_the_golden_ones) {
  differentiate(model_, mini::batch());
  const Expected expected[] = {
      {"tok_embeddings.weight", 9 * 8 + 3, -1.128715356e-1},
      {"layers.0.attention_norm.weight", 2, 8.967305552e-2},
      {"layers.0.attention.wq.weight", 5, 1.863894075e-1},
      {"layers.0.attention.wk.weight", 5, 7.206262538e-2},
      {"layers.0.attention.wv.weight", 5, 1.121720925e-1},
      {"layers.3.attention.wq.weight", 5, 1.673019306e-2},
      {"layers.0.feed_forward.w1.weight", 3, -1.379653861e-2},
      {"layers.1.moe.router.gate.weight", 1 * 8 + 2, -3.103577985e-2},
      {"layers.1.moe.router.gate.weight", 2, -3.958743908e-3},
      {"layers.1.moe.experts.w1", (1 * 6 + 1) * 8 + 2, -1.257633166e-2},  // gate_up[1, 2, 1]
      {"layers.1.moe.experts.w3", (1 * 6 + 1) * 8 + 2, -1.070118778e-2},  // gate_up[1, 2, 7]
      {"layers.1.moe.experts.w2", (1 * 8 + 1) * 6 + 2, 4.734838166e-4},   // down[1, 2, 1]
      {"layers.1.moe.shared_experts.w1.weight", 4, -1.790275059e-2},
      {"norm.weight", 1, 4.337066120e-2},
      {"output.weight", 7 * 8 + 1, -8.562297708e-2},
  };
  for (const Expected& e : expected) {
    EXPECT_NEAR(element(model_.grad(e.name), e.index), e.gradient, 1e-4 * std::abs(e.gradient)) << e.name;
  }
}

TEST_P(MiniGolden, greedy_continuation_through_the_cache_crosses_chunks) {
  EXPECT_EQ(continue_greedily(model_, mini::batch().tokens, 8),
            (std::vector<std::int32_t>{2, 0, 13, 13, 15, 4, 5, 13}));
}

}  // namespace
}  // namespace caravan::testing
