#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

/// The checked arguments that forward and backward share.
struct Preparation {
  const QkPrepare& how;
  Matrix<float> cos, sin;
  Matrix<float> qkv;
  Matrix<float> rstd;

  Preparation(const Call& call, const QkPrepare& how_, const TensorView& qkv_view,
              const TensorView& rstd_view)
      : how(how_) {
    if (const std::string problem = problem_with(how); !problem.empty()) call.fail(problem);
    qkv = call.matrix("qkv", qkv_view, kAny, (how.heads + 2 * how.kv_heads) * how.head_dim);
    cos = call.optional_f32_matrix("cos", how.cos, kAny, how.head_dim / 2);
    sin = call.optional_f32_matrix("sin", how.sin, cos ? cos.extent(0) : kAny, how.head_dim / 2);
    if (!cos != !sin) call.fail("one of cos and sin is given (rotation needs both)");
    if (cos && how.head_dim % 2 != 0)
      call.fail(fmt::format("head_dim {} (rotation needs pairs)", how.head_dim));
    const std::string problem = problem_with(how.tokens, cos ? cos.extent(0) : how.tokens.positions());
    if (!problem.empty()) call.fail(problem);
    if (how.norm_eps > 0) rstd = call.f32_matrix("rstd", rstd_view, qkv.extent(0), num_heads());
  }

  /// Query heads, then key heads.
  std::int64_t num_heads() const { return how.heads + how.kv_heads; }
  std::int64_t position(std::int64_t t) const { return how.tokens.position(t); }
  double temperature(std::int64_t t, std::int64_t head) const {
    if (how.floor_scale <= 0 || head >= how.heads) return 1;
    return 1 + how.temperature_scale *
                   std::log1p(std::floor(static_cast<double>(position(t) + 1) / double{how.floor_scale}));
  }
};

/// Rotates the pairs of one head by +angle (direction 1) or −angle (direction −1).
void rotate(const Preparation& p, std::vector<double>& x, std::int64_t position, double direction) {
  for (std::int64_t i = 0; i < p.how.head_dim / 2; ++i) {
    const double c = p.cos(position, i), s = direction * p.sin(position, i);
    const double a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * c - b * s;
    x[2 * i + 1] = a * s + b * c;
  }
}

void multiply(std::vector<double>& x, double factor) {
  for (double& value : x) value *= factor;
}

double mean_product(const std::vector<double>& a, const std::vector<double>& b) {
  const auto count = static_cast<std::int64_t>(a.size());
  return sum(count, [&](std::int64_t d) { return a[d] * b[d]; }) / static_cast<double>(count);
}

/// dx = rstd·(dy − y·mean(y·dy)) of y = x·rstd, in place of dy.
void norm_backward(const std::vector<double>& y, double rstd, std::vector<double>& dy) {
  const double mean = mean_product(y, dy);
  for (std::size_t d = 0; d < y.size(); ++d) dy[d] = rstd * (dy[d] - y[d] * mean);
}

std::vector<double> load(const float* x, std::int64_t width) {
  return {x, x + width};
}

void store(const std::vector<double>& x, float* to) {
  for (std::size_t d = 0; d < x.size(); ++d) to[d] = static_cast<float>(x[d]);
}

}  // namespace

void ReferenceOps::qk_prepare_forward(const QkPrepareForward& args) {
  const Call call("qk_prepare_forward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  const std::int64_t width = args.how.head_dim;

  for (std::int64_t t = 0; t < p.qkv.extent(0); ++t) {
    for (std::int64_t head = 0; head < p.num_heads(); ++head) {
      std::vector<double> x = load(&p.qkv(t, head * width), width);
      if (p.cos) rotate(p, x, p.position(t), 1);
      if (p.rstd) {
        const double rstd = 1 / std::sqrt(mean_product(x, x) + args.how.norm_eps);
        multiply(x, rstd);
        p.rstd(t, head) = static_cast<float>(rstd);
      }
      multiply(x, p.temperature(t, head));
      store(x, &p.qkv(t, head * width));
    }
  }
}

void ReferenceOps::qk_prepare_backward(const QkPrepareBackward& args) {
  const Call call("qk_prepare_backward");
  const Preparation p(call, args.how, args.qkv, args.rstd);
  const std::int64_t width = args.how.head_dim;
  const auto dqkv = call.matrix("dqkv", args.dqkv, p.qkv.extent(0), p.qkv.extent(1));

  for (std::int64_t t = 0; t < dqkv.extent(0); ++t) {
    for (std::int64_t head = 0; head < p.num_heads(); ++head) {
      const double temperature = p.temperature(t, head);
      std::vector<double> gradient = load(&dqkv(t, head * width), width);
      multiply(gradient, temperature);
      if (p.rstd) {
        std::vector<double> normed = load(&p.qkv(t, head * width), width);
        multiply(normed, 1 / temperature);
        norm_backward(normed, p.rstd(t, head), gradient);
      }
      if (p.cos) rotate(p, gradient, p.position(t), -1);
      store(gradient, &dqkv(t, head * width));
    }
  }
}

}  // namespace caravan
