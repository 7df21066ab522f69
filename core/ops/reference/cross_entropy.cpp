#include "caravan/reference_ops.hpp"
#include "core/ops/reference/head.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

Head check_whole_head(const Call& call, const LinearCrossEntropy& args) {
  Head head = check_head(call, args);
  head.dx = call.optional_matrix("dx", args.dx, head.x.extent(0), head.x.extent(1));
  head.dw = call.optional_f32_matrix("dw", args.dw, head.w.extent(0), head.w.extent(1));
  head.dbias = call.optional_f32_vector("dbias", args.dbias, head.w.extent(0));
  return head;
}

}  // namespace

void ReferenceOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Call call("linear_cross_entropy");
  const Head head = check_whole_head(call, args);
  const std::int64_t tokens = head.x.extent(0), vocabulary = head.w.extent(0);
  const auto labels = call.vector<std::int32_t>("labels", args.labels, tokens);
  const auto logits = call.optional_f32_matrix("logits", args.logits, tokens, vocabulary);
  const auto loss_sum = call.vector<double>("loss_sum", args.loss_sum, 1);
  check_labels(call, labels, {0, vocabulary});

  HeadGradients gradients(head);
  for (std::int64_t t = 0; t < tokens; ++t) {
    Logits z = logits_of(head, t);
    for (std::int64_t v = 0; logits && v < vocabulary; ++v) logits(t, v) = static_cast<float>(z[v]);
    if (labels(t) == kIgnoredLabel) {
      gradients.skip(t);
      continue;
    }
    const double lse = log_sum_exp(z);
    loss_sum(0) += lse - z[labels(t)];
    if (!head.dx) continue;
    to_gradient(z, lse, labels(t), args.gradient_scale);
    gradients.add(z, t);
  }
  gradients.store();
}

}  // namespace caravan
