#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

/// dw[v] += Σ_t dlogits[t, v]·x[t], summed in double over the tokens before it is rounded into dw.
struct HeadGradients {
  std::vector<double> dw, dbias;

  HeadGradients(const Matrix<float>& w, bool wants_dw)
      : dw(wants_dw ? w.extent(0) * w.extent(1) : 0, 0.0), dbias(w.extent(0), 0.0) {}
};

struct Head {
  Matrix<float> x, w;
  Vector<float> bias;
  Matrix<float> dx, dw;
  Vector<float> dbias;
};

/// One token's logits, then in place dL/d(logits).
using Logits = std::vector<double>;

Logits logits_of(const Head& head, std::int64_t t) {
  Logits z(head.w.extent(0));
  for (std::size_t v = 0; v < z.size(); ++v) {
    z[v] = output_element(head.x, head.w, t, static_cast<std::int64_t>(v)) + (head.bias ? head.bias(v) : 0.0);
  }
  return z;
}

/// scale·(softmax(z) − onehot(label))
void to_gradient(Logits& z, double lse, std::int64_t label, double scale) {
  for (double& value : z) value = scale * std::exp(value - lse);
  z[label] -= scale;
}

void add_gradients(const Head& head, const Logits& dz, std::int64_t t, HeadGradients& sums) {
  const std::int64_t width = head.x.extent(1);
  for (std::int64_t v = 0; v < head.w.extent(0); ++v) {
    sums.dbias[v] += dz[v];
    for (std::int64_t h = 0; head.dw && h < width; ++h) sums.dw[v * width + h] += dz[v] * head.x(t, h);
  }
  for (std::int64_t h = 0; h < width; ++h) {
    head.dx(t, h) =
        static_cast<float>(sum(head.w.extent(0), [&](std::int64_t v) { return dz[v] * head.w(v, h); }));
  }
}

void store(const Head& head, const HeadGradients& sums) {
  const std::int64_t width = head.w.extent(1);
  if (head.dw) {
    fill(head.dw, [&](std::int64_t v, std::int64_t h) { return head.dw(v, h) + sums.dw[v * width + h]; });
  }
  for (std::int64_t v = 0; head.dbias && v < head.dbias.extent(0); ++v) {
    head.dbias(v) = static_cast<float>(head.dbias(v) + sums.dbias[v]);
  }
}

void check_label(const Call& call, std::int32_t label, std::int64_t t, std::int64_t vocabulary) {
  if (label != kIgnoredLabel && (label < 0 || label >= vocabulary)) {
    call.fail(fmt::format("label {} of token {} (the vocabulary has {} entries)", label, t, vocabulary));
  }
}

Head check_head(const Call& call, const LinearCrossEntropy& args) {
  Head head;
  head.x = call.matrix("x", args.x, kAny, kAny);
  head.w = call.matrix("w", args.w, kAny, head.x.extent(1));
  head.bias = call.optional_vector("bias", args.bias, head.w.extent(0));
  head.dx = call.optional_matrix("dx", args.dx, head.x.extent(0), head.x.extent(1));
  head.dw = call.optional_f32_matrix("dw", args.dw, head.w.extent(0), head.w.extent(1));
  head.dbias = call.optional_f32_vector("dbias", args.dbias, head.w.extent(0));
  return head;
}

}  // namespace

void ReferenceOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Call call("linear_cross_entropy");
  const Head head = check_head(call, args);
  const std::int64_t tokens = head.x.extent(0), vocabulary = head.w.extent(0);
  const auto labels = call.vector<std::int32_t>("labels", args.labels, tokens);
  const auto logits = call.optional_f32_matrix("logits", args.logits, tokens, vocabulary);
  const auto loss_sum = call.vector<double>("loss_sum", args.loss_sum, 1);
  for (std::int64_t t = 0; t < tokens; ++t) check_label(call, labels(t), t, vocabulary);

  HeadGradients sums(head.w, static_cast<bool>(head.dw));
  for (std::int64_t t = 0; t < tokens; ++t) {
    Logits z = logits_of(head, t);
    for (std::int64_t v = 0; logits && v < vocabulary; ++v) logits(t, v) = static_cast<float>(z[v]);
    if (labels(t) == kIgnoredLabel) {
      for (std::int64_t h = 0; head.dx && h < head.dx.extent(1); ++h) head.dx(t, h) = 0;
      continue;
    }
    const double lse = log_sum_exp(z);
    loss_sum(0) += lse - z[labels(t)];
    if (!head.dx) continue;
    to_gradient(z, lse, labels(t), args.gradient_scale);
    add_gradients(head, z, t, sums);
  }
  store(head, sums);
}

}  // namespace caravan
