#include <cmath>
#include <numbers>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

/// Φ(x), the normal distribution function.
double normal_cdf(double x) {
  return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}

/// φ(x) = Φ'(x)
double normal_density(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
}

}  // namespace

void ReferenceOps::swiglu_forward(const SwigluForward& args) {
  const Call call("swiglu_forward");
  const auto out = call.matrix("out", args.out, kAny, kAny);
  const std::int64_t width = out.extent(1);
  const auto gate_up = call.matrix("gate_up", args.gate_up, out.extent(0), 2 * width);

  fill(out, [&](std::int64_t r, std::int64_t f) {
    const double gate = gate_up(r, f), up = gate_up(r, width + f);
    return gate * sigmoid(gate) * up;
  });
}

void ReferenceOps::swiglu_backward(const SwigluBackward& args) {
  const Call call("swiglu_backward");
  const auto dout = call.matrix("dout", args.dout, kAny, kAny);
  const std::int64_t width = dout.extent(1);
  const auto gate_up = call.matrix("gate_up", args.gate_up, dout.extent(0), 2 * width);
  const auto dgate_up = call.matrix("dgate_up", args.dgate_up, dout.extent(0), 2 * width);

  for (std::int64_t r = 0; r < dout.extent(0); ++r) {
    for (std::int64_t f = 0; f < width; ++f) {
      const double gate = gate_up(r, f), up = gate_up(r, width + f), s = sigmoid(gate);
      dgate_up(r, f) = static_cast<float>(dout(r, f) * up * s * (1 + gate * (1 - s)));
      dgate_up(r, width + f) = static_cast<float>(dout(r, f) * gate * s);
    }
  }
}

void ReferenceOps::gelu_forward(const GeluForward& args) {
  const Call call("gelu_forward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto out = call.matrix("out", args.out, x.extent(0), x.extent(1));

  fill(out, [&](std::int64_t r, std::int64_t f) { return x(r, f) * normal_cdf(x(r, f)); });
}

void ReferenceOps::gelu_backward(const GeluBackward& args) {
  const Call call("gelu_backward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto dout = call.matrix("dout", args.dout, x.extent(0), x.extent(1));
  const auto dx = call.matrix("dx", args.dx, x.extent(0), x.extent(1));

  fill(dx, [&](std::int64_t r, std::int64_t f) {
    const double value = x(r, f);
    return dout(r, f) * (normal_cdf(value) + value * normal_density(value));
  });
}

}  // namespace caravan
