#include <gtest/gtest.h>

#include <ostream>

#include "tests/ops/attention_problem.hpp"
#include "tests/ops/gradient_check.hpp"

namespace caravan::testing {
namespace {

struct Case {
  const char* name;
  AttentionShape shape;
  std::int64_t first_query = 0, first_key = 0, chunk = 0;
  std::vector<std::int32_t> documents = {};  ///< of keys; queries have the last of them
  float dropout = 0;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class AttentionGradients : public ::testing::TestWithParam<Case> {
 protected:
  AttentionGradients() {
    p.mask = {
        .first_query = GetParam().first_query, .first_key = GetParam().first_key, .chunk = GetParam().chunk};
    if (!GetParam().documents.empty()) {
      const TensorView keys = documents;
      p.mask.key_documents = keys;
      p.mask.query_documents = keys.slice(1, keys.extent(1) - p.q.shape()[1], keys.extent(1));
    }
    p.dropout = {.probability = GetParam().dropout, .key = {5, 6}, .first_sample = 3, .global_length = 64};
    p.forward();
    ops.attention_backward({.q = p.q,
                            .k = p.k,
                            .v = p.v,
                            .out = p.out,
                            .lse = p.lse,
                            .dout = dout,
                            .dq = dq,
                            .dk = dk,
                            .dv = dv,
                            .mask = p.mask,
                            .dropout = p.dropout,
                            .scale = p.scale});
  }
  double loss() {
    p.forward();
    return weighted_sum(dout, p.out);
  }

  ReferenceOps ops;
  AttentionProblem p{GetParam().shape};
  Ids documents{{GetParam().shape.batch, GetParam().shape.keys}, GetParam().documents};
  Tensor dout = Tensor::random("dout", p.out.shape()), dq{p.q.shape()}, dk{p.k.shape()}, dv{p.v.shape()};
};

TEST_P(AttentionGradients, OfQueriesMatchDifferences) {
  EXPECT_TRUE(is_gradient(dq, p.q, [&] { return loss(); }));
}

TEST_P(AttentionGradients, OfKeysMatchDifferences) {
  EXPECT_TRUE(is_gradient(dk, p.k, [&] { return loss(); }));
}

TEST_P(AttentionGradients, OfValuesMatchDifferences) {
  EXPECT_TRUE(is_gradient(dv, p.v, [&] { return loss(); }));
}

INSTANTIATE_TEST_SUITE_P(
    Cases, AttentionGradients,
    ::testing::Values(Case{"one_token", {1, 1, 1, 1, 1, 2}}, Case{"causal", {2, 4, 4, 2, 2, 3}},
                      Case{"grouped", {2, 4, 4, 6, 2, 3}}, Case{"chunks", {1, 7, 7, 2, 1, 3}, 0, 0, 3},
                      Case{"documents", {2, 4, 4, 2, 1, 3}, 0, 0, 0, {1, 1, 2, 2, 5, 6, 6, 6}},
                      Case{"chunks_documents", {1, 6, 6, 2, 1, 3}, 0, 0, 4, {1, 1, 2, 2, 2, 2}},
                      Case{"documents_of_block", {2, 2, 4, 2, 1, 3}, 2, 0, 0, {1, 1, 1, 2, 5, 6, 6, 6}},
                      Case{"dropout", {2, 5, 5, 2, 1, 3}, 0, 0, 0, {}, 0.4f},
                      Case{"dropout_chunks", {2, 5, 5, 2, 2, 3}, 0, 0, 2, {}, 0.4f},
                      Case{"positions", {1, 2, 5, 2, 1, 3}, 6, 3, 4}),
    ::testing::PrintToStringParamName());

}  // namespace
}  // namespace caravan::testing
