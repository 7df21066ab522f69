#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"

namespace caravan {

using namespace reference;

namespace {

/// The rows of `all` that belong to expert e.
Matrix<float> rows_of(const Matrix<float>& all, const Vector<std::int32_t>& offsets, std::int64_t e) {
  return all.rows(offsets(e), offsets(e + 1));
}

}  // namespace

void ReferenceOps::grouped_linear_forward(const GroupedLinearForward& args) {
  const Call call("grouped_linear_forward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto w = call.array<float, 3>("w", args.w, {kAny, kAny, x.extent(1)});
  const auto y = call.matrix("y", args.y, x.extent(0), w.extent(1));
  const auto offsets = call.vector<std::int32_t>("offsets", args.offsets, w.extent(0) + 1);
  call.check_offsets(offsets, x.extent(0));

  for (std::int64_t e = 0; e < w.extent(0); ++e) {
    const auto expert_x = rows_of(x, offsets, e);
    const auto expert_w = matrix_of(w, e);
    fill(rows_of(y, offsets, e),
         [&](std::int64_t t, std::int64_t n) { return output_element(expert_x, expert_w, t, n); });
  }
}

void ReferenceOps::grouped_linear_backward_input(const GroupedLinearBackwardInput& args) {
  const Call call("grouped_linear_backward_input");
  const auto dy = call.matrix("dy", args.dy, kAny, kAny);
  const auto w = call.array<float, 3>("w", args.w, {kAny, dy.extent(1), kAny});
  const auto dx = call.matrix("dx", args.dx, dy.extent(0), w.extent(2));
  const auto offsets = call.vector<std::int32_t>("offsets", args.offsets, w.extent(0) + 1);
  call.check_offsets(offsets, dy.extent(0));

  for (std::int64_t e = 0; e < w.extent(0); ++e) {
    const auto expert_dy = rows_of(dy, offsets, e);
    const auto expert_w = matrix_of(w, e);
    fill(rows_of(dx, offsets, e),
         [&](std::int64_t t, std::int64_t m) { return input_gradient(expert_dy, expert_w, t, m); });
  }
}

void ReferenceOps::grouped_linear_backward_weight(const GroupedLinearBackwardWeight& args) {
  const Call call("grouped_linear_backward_weight");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto dy = call.matrix("dy", args.dy, x.extent(0), kAny);
  const auto dw = call.f32_array<3>("dw", args.dw, {kAny, dy.extent(1), x.extent(1)});
  const auto offsets = call.vector<std::int32_t>("offsets", args.offsets, dw.extent(0) + 1);
  call.check_offsets(offsets, x.extent(0));

  for (std::int64_t e = 0; e < dw.extent(0); ++e) {
    const auto expert_x = rows_of(x, offsets, e);
    const auto expert_dy = rows_of(dy, offsets, e);
    const auto expert_dw = matrix_of(dw, e);
    fill(expert_dw, [&](std::int64_t n, std::int64_t m) {
      return start(args.accumulate, expert_dw(n, m)) + weight_gradient(expert_dy, expert_x, n, m);
    });
  }
  if (!args.squares.empty()) ReferenceOps::sum_of_squares({args.dw, args.squares});
}

}  // namespace caravan
