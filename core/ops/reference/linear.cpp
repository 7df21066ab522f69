#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"

namespace caravan {

using namespace reference;

void ReferenceOps::linear_forward(const LinearForward& args) {
  const Call call("linear_forward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto w = call.matrix("w", args.w, kAny, x.extent(1));
  const auto y = args.y.dtype == DType::f32 ? call.f32_matrix("y", args.y, x.extent(0), w.extent(0))
                                            : call.matrix("y", args.y, x.extent(0), w.extent(0));
  const auto bias = call.optional_vector("bias", args.bias, y.extent(1));
  const auto residual = call.optional_matrix("residual", args.residual, y.extent(0), y.extent(1));

  fill(y, [&](std::int64_t t, std::int64_t n) {
    return output_element(x, w, t, n) + (bias ? bias(n) : 0.0) + (residual ? residual(t, n) : 0.0);
  });
}

void ReferenceOps::linear_backward_input(const LinearBackwardInput& args) {
  const Call call("linear_backward_input");
  const auto dy = call.matrix("dy", args.dy, kAny, kAny);
  const auto w = call.matrix("w", args.w, dy.extent(1), kAny);
  const auto dx = call.matrix("dx", args.dx, dy.extent(0), w.extent(1));

  fill(dx, [&](std::int64_t t, std::int64_t m) {
    return input_gradient(dy, w, t, m) + (args.accumulate ? dx(t, m) : 0.0);
  });
}

void ReferenceOps::linear_backward_weight(const LinearBackwardWeight& args) {
  const Call call("linear_backward_weight");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto dy = call.matrix("dy", args.dy, x.extent(0), kAny);
  const auto dw = call.optional_f32_matrix("dw", args.dw, dy.extent(1), x.extent(1));
  const auto dbias = call.optional_f32_vector("dbias", args.dbias, dy.extent(1));

  if (dw)
    fill(dw, [&](std::int64_t n, std::int64_t m) {
      return start(args.accumulate, dw(n, m)) + weight_gradient(dy, x, n, m);
    });
  if (!dbias) return;
  for (std::int64_t n = 0; n < dy.extent(1); ++n) {
    dbias(n) =
        static_cast<float>(dbias(n) + sum(dy.extent(0), [&](std::int64_t t) { return double{dy(t, n)}; }));
  }
}

}  // namespace caravan
