#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "caravan/random.hpp"
#include "host_ops.hpp"
#include "token_router.hpp"
#include "view.hpp"

// The router. This file and token_router.cpp are compiled without contraction of a·b + c: a rounding less
// than the reference has would choose another expert where two are equal.
namespace caravan::host {
namespace {

double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

/// What forward and backward read alike, checked.
struct Routed {
  Matrix logits, noise_std;
  Rows<std::int32_t> experts;
  const float* bias;

  Routed(const Call& call, const RoutedTokens& args)
      : logits(call.matrix("logits", args.logits, kAny, kAny)),
        noise_std(call.optional_matrix("noise_std", args.noise_std, logits.rows, logits.columns)),
        experts(call.index_matrix("experts", args.experts, logits.rows, args.rule.top_k)),
        bias(call.optional_vector("bias", args.bias, logits.columns)) {
    call.check_rule(args.rule, logits.columns);
  }
};

void add_noise(const Team& team, const RoutedTokens& args, const Matrix& logits, const Matrix& noise_std) {
  team.for_each(logits.rows, 64 * logits.columns, [&](std::int64_t t, std::int64_t) {
    float* row = logits.row(t);
    for (std::int64_t e = 0; e < logits.columns; ++e) {
      const double noise = softplus(noise_std.row(t)[e]) * normal(args.noise_key, args.rows.token(t), e);
      row[e] = static_cast<float>(row[e] + noise);
    }
  });
}

struct Sorted {
  std::int32_t* offsets;
  Rows<std::int32_t> row_of;
  std::int32_t* choice_of;
};

/// Adds how often each expert is chosen: whole numbers, so that large counts stay exact. `chosen`: scratch of
/// integers.
void add_choices(const Rows<std::int32_t>& experts, std::int64_t num_experts, std::int32_t* chosen,
                 float* counts) {
  std::fill_n(chosen, num_experts, 0);
  for (std::int64_t t = 0; t < experts.rows; ++t) {
    for (std::int64_t k = 0; k < experts.columns; ++k) ++chosen[experts.row(t)[k]];
  }
  for (std::int64_t e = 0; e < num_experts; ++e) counts[e] += static_cast<float>(chosen[e]);
}

/// Counting sort of the choices token·K + k by expert; stable because choices are visited in order. While
/// rows are given out, offsets[e] is the next free row of e, which at the end is the first of e + 1.
void sort_by_expert(const Rows<std::int32_t>& experts, std::int64_t num_experts, const Sorted& to) {
  const std::int64_t top_k = experts.columns;
  std::fill_n(to.offsets, num_experts + 1, 0);
  for (std::int64_t t = 0; t < experts.rows; ++t) {
    for (std::int64_t k = 0; k < top_k; ++k) ++to.offsets[experts.row(t)[k] + 1];
  }
  for (std::int64_t e = 0; e < num_experts; ++e) to.offsets[e + 1] += to.offsets[e];
  for (std::int64_t t = 0; t < experts.rows; ++t) {
    for (std::int64_t k = 0; k < top_k; ++k) {
      const std::int32_t row = to.offsets[experts.row(t)[k]]++;
      to.row_of.row(t)[k] = row;
      to.choice_of[row] = static_cast<std::int32_t>(t * top_k + k);
    }
  }
  std::copy_backward(to.offsets, to.offsets + num_experts, to.offsets + num_experts + 1);
  to.offsets[0] = 0;
}

}  // namespace

void HostOps::route_forward(const RouteForward& args) {
  const Call call("route_forward");
  const Routed routed(call, args.routed);
  const std::int64_t tokens = routed.logits.rows, num_experts = routed.logits.columns;
  const Rows<std::int32_t>& experts = routed.experts;
  const Matrix weights = call.matrix("weights", args.routed.weights, tokens, experts.columns);
  float* counts = call.optional_vector("counts", args.counts, num_experts);
  const Sorted sorted{call.indices("offsets", args.offsets, num_experts + 1),
                      call.index_matrix("row_of", args.row_of, tokens, experts.columns),
                      call.indices("choice_of", args.choice_of, tokens * experts.columns)};

  if (routed.noise_std) add_noise(team_, args.routed, routed.logits, routed.noise_std);
  team_.for_ranges(tokens, 16 * num_experts, [&](std::int64_t begin, std::int64_t end, std::int64_t worker) {
    TokenRouter router(args.routed.rule, num_experts, routed.bias, workspace(worker));
    for (std::int64_t t = begin; t < end; ++t) {
      router.load(routed.logits.row(t));
      router.choose(experts.row(t));
      router.weights(experts.row(t), weights.row(t));
    }
  });
  if (counts) add_choices(experts, num_experts, sorted.offsets, counts);
  sort_by_expert(experts, num_experts, sorted);
}

namespace {

struct Gradients {
  Matrix dweights, dlogits, dnoise;
};

/// The gradient of a token's logits, and of its noise.
void store_gradient(const RoutedTokens& args, const Routed& routed, const Gradients& to, std::int64_t t,
                    const double* gradient) {
  for (std::int64_t e = 0; e < to.dlogits.columns; ++e) {
    to.dlogits.row(t)[e] = static_cast<float>(gradient[e]);
    if (!to.dnoise) continue;
    const double draw = normal(args.noise_key, args.rows.token(t), e);
    const double slope = 1 / (1 + std::exp(-double{routed.noise_std.row(t)[e]}));
    to.dnoise.row(t)[e] = static_cast<float>(gradient[e] * draw * slope);
  }
}

}  // namespace

void HostOps::route_backward(const RouteBackward& args) {
  const Call call("route_backward");
  const Routed routed(call, args.routed);
  const std::int64_t tokens = routed.logits.rows, num_experts = routed.logits.columns;
  const Gradients to{call.matrix("dweights", args.dweights, tokens, routed.experts.columns),
                     call.matrix("dlogits", args.dlogits, tokens, num_experts),
                     call.optional_matrix("dnoise", args.dnoise, tokens, num_experts)};
  if (to.dnoise && !routed.noise_std) call.fail("'dnoise' without 'noise_std'");
  call.check_experts(routed.experts, num_experts);

  team_.for_ranges(tokens, 16 * num_experts, [&](std::int64_t begin, std::int64_t end, std::int64_t worker) {
    TokenRouter router(args.routed.rule, num_experts, routed.bias, workspace(worker));
    for (std::int64_t t = begin; t < end; ++t) {
      router.load(routed.logits.row(t));
      const double* gradient = router.backward(routed.experts.row(t), to.dweights.row(t));
      store_gradient(args.routed, routed, to, t, gradient);
    }
  });
}

}  // namespace caravan::host
