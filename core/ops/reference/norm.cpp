#include <cmath>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"

namespace caravan {

using namespace reference;

void ReferenceOps::rmsnorm_forward(const RmsNormForward& args) {
  const Call call("rmsnorm_forward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const std::int64_t tokens = x.extent(0), width = x.extent(1);
  const auto weight = call.vector("weight", args.weight, width);
  const auto y = call.matrix("y", args.y, tokens, width);
  const auto rstd = call.f32_vector("rstd", args.rstd, tokens);

  for (std::int64_t t = 0; t < tokens; ++t) {
    const double squares = sum(width, [&](std::int64_t h) { return double{x(t, h)} * x(t, h); });
    const double scale = 1 / std::sqrt(squares / static_cast<double>(width) + args.eps);
    for (std::int64_t h = 0; h < width; ++h) y(t, h) = static_cast<float>(x(t, h) * scale * weight(h));
    rstd(t) = static_cast<float>(scale);
  }
}

void ReferenceOps::rmsnorm_backward_input(const RmsNormBackwardInput& args) {
  const Call call("rmsnorm_backward_input");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const std::int64_t tokens = x.extent(0), width = x.extent(1);
  const auto weight = call.vector("weight", args.weight, width);
  const auto rstd = call.f32_vector("rstd", args.rstd, tokens);
  const auto dy = call.matrix("dy", args.dy, tokens, width);
  const auto residual = call.optional_matrix("residual", args.residual, tokens, width);
  const auto dx = call.matrix("dx", args.dx, tokens, width);

  for (std::int64_t t = 0; t < tokens; ++t) {
    const double scale = rstd(t);
    const double mean = sum(width, [&](std::int64_t h) { return double{x(t, h)} * weight(h) * dy(t, h); }) /
                        static_cast<double>(width);
    for (std::int64_t h = 0; h < width; ++h) {
      const double gradient = scale * (double{weight(h)} * dy(t, h) - x(t, h) * scale * scale * mean);
      dx(t, h) = static_cast<float>(gradient + (residual ? residual(t, h) : 0.0));
    }
  }
}

void ReferenceOps::rmsnorm_backward_weight(const RmsNormBackwardWeight& args) {
  const Call call("rmsnorm_backward_weight");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const std::int64_t tokens = x.extent(0), width = x.extent(1);
  const auto rstd = call.f32_vector("rstd", args.rstd, tokens);
  const auto dy = call.matrix("dy", args.dy, tokens, width);
  const auto dweight = call.f32_vector("dweight", args.dweight, width);

  for (std::int64_t h = 0; h < width; ++h) {
    dweight(h) = static_cast<float>(
        dweight(h) + sum(tokens, [&](std::int64_t t) { return double{dy(t, h)} * x(t, h) * rstd(t); }));
  }
}

}  // namespace caravan
