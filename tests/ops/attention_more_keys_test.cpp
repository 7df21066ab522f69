#include <gtest/gtest.h>

#include <array>

#include "tests/ops/attention_problem.hpp"

// Keys in several calls are the keys of one.
namespace caravan::testing {
namespace {

struct Case {
  const char* name;
  std::int64_t chunk = 0;
  bool documents = false;
  float dropout = 0;
};

/// Queries at 9 to 15 of sequences of 16 tokens, keys from 0.
constexpr std::int64_t kLength = 16, kFirst = 9, kQueries = kLength - kFirst;

class AttentionToMoreKeys : public ::testing::TestWithParam<Case> {
 protected:
  AttentionToMoreKeys() : documents_({2, kLength}, documents()) {}
  static std::vector<std::int32_t> documents() {
    std::vector<std::int32_t> ids;
    for (std::int32_t token = 0; token < 2 * kLength; ++token) ids.push_back(token / 7);
    return ids;
  }
  AttentionForward part(AttentionProblem& p, PositionRange keys) {
    AttentionForward args{.q = TensorView(p.q),
                          .k = TensorView(p.k).slice(1, keys.begin, keys.end),
                          .v = TensorView(p.v).slice(1, keys.begin, keys.end),
                          .out = p.out,
                          .lse = p.lse,
                          .mask = {.first_query = kFirst, .first_key = keys.begin, .chunk = GetParam().chunk},
                          .dropout = {GetParam().dropout, {3, 4}, 0, kLength},
                          .scale = p.scale,
                          .adds = keys.begin < kFirst && keys.end <= kFirst};
    if (!GetParam().documents) return args;
    const TensorView all = documents_;
    args.mask.query_documents = all.slice(1, kFirst, kLength);
    args.mask.key_documents = all.slice(1, keys.begin, keys.end);
    return args;
  }
  AttentionProblem problem() const {
    return AttentionProblem(
        {.batch = 2, .queries = kQueries, .keys = kLength, .heads = 4, .kv_heads = 2, .head_dim = 3});
  }
  Ids documents_;
  ReferenceOps ops_;
  const std::array<PositionRange, 3> parts_{{{kFirst, kLength}, {4, kFirst}, {0, 4}}};
};

TEST_P(AttentionToMoreKeys, MakesWhatAllOfThemMake) {
  AttentionProblem whole = problem(), parts = problem();

  ops_.attention_forward(part(whole, {0, kLength}));
  for (const PositionRange& keys : parts_) ops_.attention_forward(part(parts, keys));

  for (std::int64_t i = 0; i < whole.out.size(); ++i) EXPECT_NEAR(parts.out[i], whole.out[i], 1e-6) << i;
  for (std::int64_t i = 0; i < whole.lse.size(); ++i) EXPECT_NEAR(parts.lse[i], whole.lse[i], 1e-6) << i;
}

TEST_P(AttentionToMoreKeys, HasTheGradientsOfAllOfThem) {
  AttentionProblem p = problem();
  ops_.attention_forward(part(p, {0, kLength}));
  const Shape queries{2, kQueries, 4, 3}, keys{2, kLength, 2, 3};
  Tensor dout = Tensor::random("dout", queries);
  struct Gradients {
    Tensor dq, dk, dv;
  } whole{Tensor(queries), Tensor(keys), Tensor(keys)}, parts = whole;
  const auto differentiate = [&](Gradients& g, PositionRange range) {
    const AttentionForward f = part(p, range);
    ops_.attention_backward(
        {f.q, f.k, f.v, f.out, f.lse, dout, g.dq, TensorView(g.dk).slice(1, range.begin, range.end),
         TensorView(g.dv).slice(1, range.begin, range.end), f.mask, f.dropout, f.scale, f.adds});
  };

  differentiate(whole, {0, kLength});
  for (const PositionRange& range : parts_) differentiate(parts, range);

  for (std::int64_t i = 0; i < whole.dq.size(); ++i) EXPECT_NEAR(parts.dq[i], whole.dq[i], 2e-6) << i;
  for (std::int64_t i = 0; i < whole.dk.size(); ++i) EXPECT_NEAR(parts.dk[i], whole.dk[i], 2e-6) << i;
  for (std::int64_t i = 0; i < whole.dv.size(); ++i) EXPECT_NEAR(parts.dv[i], whole.dv[i], 2e-6) << i;
}

INSTANTIATE_TEST_SUITE_P(Masks, AttentionToMoreKeys,
                         ::testing::Values(Case{"causal"}, Case{"chunks", 6}, Case{"documents", 0, true},
                                           Case{"dropout", 0, false, 0.3f}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace caravan::testing
