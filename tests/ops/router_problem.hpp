#pragma once

#include "caravan/reference_ops.hpp"
#include "tests/ops/tensor.hpp"

namespace caravan::testing {

/// A router's inputs, and room for what it writes.
struct RouterProblem {
  RouterProblem(const RouterRule& rule_, const Tensor& logits_)
      : rule(rule_),
        logits(logits_),
        tokens(logits.shape()[0]),
        num_experts(logits.shape()[1]),
        experts({tokens, rule.top_k}),
        weights({tokens, rule.top_k}),
        offsets({num_experts + 1}),
        row_of({tokens, rule.top_k}),
        choice_of({tokens * rule.top_k}),
        counts({num_experts}) {}

  void forward() {
    ReferenceOps ops;
    ops.route_forward(
        {.routed = routed(), .offsets = offsets, .row_of = row_of, .choice_of = choice_of, .counts = counts});
  }

  void limit(std::int64_t capacity, std::int64_t sequence_length) {
    limit(capacity, sequence_length, experts, TokenMap::whole(0, sequence_length));
  }
  /// `all`: the choices of whole sequences, of which `here` are the tokens of this problem.
  void limit(std::int64_t capacity, std::int64_t sequence_length, TensorView all, const TokenMap& here) {
    ReferenceOps ops;
    ops.limit_choices({.choices = all,
                       .capacity = capacity,
                       .sequence_length = sequence_length,
                       .rows = here,
                       .offsets = offsets,
                       .row_of = row_of,
                       .choice_of = choice_of,
                       .dropped = TensorView(&dropped, DType::f64, {1})});
  }

  RoutedTokens routed() {
    return {.rule = rule,
            .logits = logits,
            .noise_std = noise_std,
            .noise_key = noise_key,
            .rows = rows,
            .bias = bias,
            .experts = experts,
            .weights = weights};
  }

  RouterRule rule;
  Tensor logits;
  std::int64_t tokens, num_experts;
  TensorView noise_std, bias;
  RandomKey noise_key{11, 12};
  TokenMap rows = TokenMap::whole(0, 1);
  Ids experts;
  Tensor weights;
  Ids offsets, row_of, choice_of;
  Tensor counts;
  double dropped = 0;
};

}  // namespace caravan::testing
