#include <cmath>
#include <numbers>
#include <unsupported/Eigen/SpecialFunctions>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

constexpr float kRootHalf = 0.70710678118654752440f;

}  // namespace

void HostOps::gelu_forward(const GeluForward& args) {
  const Call call("gelu_forward");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, x.rows, x.columns);
  team_.for_each(x.rows, 8 * x.columns, [&](std::int64_t r, std::int64_t) {
    out.line(r) = 0.5f * x.line(r) * (1.0f + (x.line(r) * kRootHalf).erf());
  });
}

void HostOps::gelu_backward(const GeluBackward& args) {
  constexpr float kDensityAtZero = 0.5f * std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
  const Call call("gelu_backward");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix dout = call.matrix("dout", args.dout, x.rows, x.columns);
  const Matrix dx = call.matrix("dx", args.dx, x.rows, x.columns);
  team_.for_each(x.rows, 8 * x.columns, [&](std::int64_t r, std::int64_t) {
    dx.line(r) = dout.line(r) * (0.5f + 0.5f * (x.line(r) * kRootHalf).erf() +
                                 x.line(r) * kDensityAtZero * (-0.5f * x.line(r).square()).exp());
  });
}

}  // namespace caravan::host
