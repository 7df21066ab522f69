#include <fmt/format.h>

#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/router_scores.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

void add_noise(const RoutedTokens& args, const Matrix<float>& logits, const Matrix<float>& noise_std) {
  for (std::int64_t t = 0; t < logits.extent(0); ++t) {
    for (std::int64_t e = 0; e < logits.extent(1); ++e) {
      const double noise = softplus(noise_std(t, e)) * normal(args.noise_key, args.rows.token(t), e);
      logits(t, e) = static_cast<float>(logits(t, e) + noise);
    }
  }
}

/// What forward and backward read alike, checked.
struct Routed {
  Matrix<float> logits, noise_std;
  Matrix<std::int32_t> experts;
  TokenRouter router;

  Routed(const Call& call, const RoutedTokens& args)
      : logits(call.f32_matrix("logits", args.logits, kAny, kAny)),
        noise_std(call.optional_f32_matrix("noise_std", args.noise_std, logits.extent(0), logits.extent(1))),
        experts(call.matrix<std::int32_t>("experts", args.experts, logits.extent(0), args.rule.top_k)),
        router(call, args.rule, logits.extent(1),
               call.optional_f32_vector("bias", args.bias, logits.extent(1))) {}
};

struct Sorted {
  Vector<std::int32_t> offsets;
  Matrix<std::int32_t> row_of;
  Vector<std::int32_t> choice_of;
};

/// Counting sort of the choices token·K + k by expert; stable because choices are visited in order.
void sort_by_expert(const Matrix<std::int32_t>& experts, const Sorted& to) {
  const std::int64_t top_k = experts.extent(1), num_experts = to.offsets.extent(0) - 1;
  for (std::int64_t e = 0; e <= num_experts; ++e) to.offsets(e) = 0;
  for (std::int64_t t = 0; t < experts.extent(0); ++t) {
    for (std::int64_t k = 0; k < top_k; ++k) ++to.offsets(experts(t, k) + 1);
  }
  for (std::int64_t e = 0; e < num_experts; ++e) to.offsets(e + 1) += to.offsets(e);

  std::vector<std::int32_t> next(num_experts);
  for (std::int64_t e = 0; e < num_experts; ++e) next[e] = to.offsets(e);
  for (std::int64_t t = 0; t < experts.extent(0); ++t) {
    for (std::int64_t k = 0; k < top_k; ++k) {
      const std::int32_t row = next[experts(t, k)]++;
      to.row_of(t, k) = row;
      to.choice_of(row) = static_cast<std::int32_t>(t * top_k + k);
    }
  }
}

}  // namespace

void ReferenceOps::route_forward(const RouteForward& args) {
  const Call call("route_forward");
  Routed routed(call, args.routed);
  const auto& [logits, noise_std, experts, scores] = routed;
  const std::int64_t tokens = logits.extent(0), num_experts = logits.extent(1), top_k = experts.extent(1);
  const auto weights = call.f32_matrix("weights", args.routed.weights, tokens, top_k);
  const auto counts = call.optional_f32_vector("counts", args.counts, num_experts);
  const Sorted sorted{call.vector<std::int32_t>("offsets", args.offsets, num_experts + 1),
                      call.matrix<std::int32_t>("row_of", args.row_of, tokens, top_k),
                      call.vector<std::int32_t>("choice_of", args.choice_of, tokens * top_k)};
  if (noise_std) add_noise(args.routed, logits, noise_std);
  for (std::int64_t t = 0; t < tokens; ++t) {
    routed.router.load(logits, t);
    const std::vector<std::int32_t> chosen = routed.router.choose();
    const std::vector<double> weight = routed.router.weights(chosen);
    for (std::int64_t k = 0; k < top_k; ++k) {
      experts(t, k) = chosen[k];
      weights(t, k) = static_cast<float>(weight[k]);
    }
  }
  for (std::int64_t e = 0; counts && e < num_experts; ++e) {
    counts(e) += static_cast<float>(sum(tokens * top_k, [&](std::int64_t choice) {
      return experts(choice / top_k, choice % top_k) == e ? 1.0 : 0.0;
    }));
  }
  sort_by_expert(experts, sorted);
}

namespace {

/// The chosen experts of one token; DeviceError when one does not exist.
std::vector<std::int32_t> chosen_by(const Call& call, const Matrix<std::int32_t>& experts, std::int64_t t,
                                    std::int64_t num_experts) {
  std::vector<std::int32_t> chosen;
  for (std::int64_t k = 0; k < experts.extent(1); ++k) {
    chosen.push_back(experts(t, k));
    if (chosen.back() < 0 || chosen.back() >= num_experts) {
      call.fail(fmt::format("expert {} of token {} (there are {})", chosen.back(), t, num_experts));
    }
  }
  return chosen;
}

}  // namespace

void ReferenceOps::route_backward(const RouteBackward& args) {
  const Call call("route_backward");
  Routed routed(call, args.routed);
  const auto& [logits, noise_std, experts, scores] = routed;
  const std::int64_t tokens = logits.extent(0), num_experts = logits.extent(1), top_k = experts.extent(1);
  const auto dweights = call.f32_matrix("dweights", args.dweights, tokens, top_k);
  const auto dlogits = call.matrix("dlogits", args.dlogits, tokens, num_experts);
  const auto dnoise = call.optional_matrix("dnoise", args.dnoise, tokens, num_experts);
  if (dnoise && !noise_std) call.fail("'dnoise' without 'noise_std'");
  std::vector<double> dweight(top_k);
  for (std::int64_t t = 0; t < tokens; ++t) {
    routed.router.load(logits, t);
    for (std::int64_t k = 0; k < top_k; ++k) dweight[k] = dweights(t, k);
    const std::vector<double> gradient =
        routed.router.backward(chosen_by(call, experts, t, num_experts), dweight);
    for (std::int64_t e = 0; e < num_experts; ++e) {
      dlogits(t, e) = static_cast<float>(gradient[e]);
      if (!dnoise) continue;
      const double draw = normal(args.routed.noise_key, args.routed.rows.token(t), e);
      dnoise(t, e) = static_cast<float>(gradient[e] * draw * sigmoid(noise_std(t, e)));
    }
  }
}

}  // namespace caravan
