#pragma once

#include <cmath>

#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"

namespace caravan::testing {

struct AttentionShape {
  std::int64_t batch = 1, queries = 1, keys = 1, heads = 1, kv_heads = 1, head_dim = 2;
};

/// Random q, k, v, and room for what the forward writes.
struct AttentionProblem {
  explicit AttentionProblem(const AttentionShape& s)
      : q(Tensor::random("q", {s.batch, s.queries, s.heads, s.head_dim})),
        k(Tensor::random("k", {s.batch, s.keys, s.kv_heads, s.head_dim})),
        v(Tensor::random("v", {s.batch, s.keys, s.kv_heads, s.head_dim})),
        out({s.batch, s.queries, s.heads, s.head_dim}),
        lse({s.batch, s.heads, s.queries}),
        scale(1 / std::sqrt(static_cast<float>(s.head_dim))) {}

  void forward() {
    ReferenceOps ops;
    ops.attention_forward(
        {.q = q, .k = k, .v = v, .out = out, .lse = lse, .mask = mask, .dropout = dropout, .scale = scale});
  }

  Tensor q, k, v, out, lse;
  AttentionMask mask;
  AttentionDropout dropout;
  float scale;
};

}  // namespace caravan::testing
