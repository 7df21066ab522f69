#include <fmt/format.h>

#include "gemm.hpp"
#include "host_ops.hpp"
#include "linear_parts.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// The weights of all experts, [E, N, M] with adjacent columns.
struct Experts {
  float* data;
  std::int64_t count, rows, columns, expert_stride, row_stride;

  Experts(const Call& call, const char* name, const TensorView& view) {
    call.check(name, view, {DType::f32, 3, {kAny, kAny, kAny}});
    data = view.as<float>();
    count = view.extent(0);
    rows = view.extent(1);
    columns = view.extent(2);
    expert_stride = view.stride(0);
    row_stride = view.stride(1);
  }
  float* matrix(std::int64_t expert) const { return data + expert * expert_stride; }
};

/// visit(expert, first row, rows) for each expert.
template <class Visit>
void for_each_group(const Call& call, const Experts& experts, const TensorView& offsets_view,
                    std::int64_t rows, const Visit& visit) {
  const std::int32_t* offsets = call.indices("offsets", offsets_view, experts.count + 1);
  call.check_offsets(offsets, experts.count, rows);
  for (std::int64_t e = 0; e < experts.count; ++e) {
    visit(e, offsets[e], offsets[e + 1] - offsets[e]);
  }
}

}  // namespace

void HostOps::grouped_linear_forward(const GroupedLinearForward& args) {
  const Call call("grouped_linear_forward");
  const Experts w(call, "w", args.w);
  const Matrix x = call.matrix("x", args.x, kAny, w.columns);
  const Matrix y = call.matrix("y", args.y, x.rows, w.rows);
  for_each_group(call, w, args.offsets, x.rows, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
    products_.multiply({rows, w.rows, w.columns}, {x.row(first), x.stride}, {w.matrix(e), w.row_stride, true},
                       {y.row(first), y.stride});
  });
}

void HostOps::grouped_linear_backward_input(const GroupedLinearBackwardInput& args) {
  const Call call("grouped_linear_backward_input");
  const Experts w(call, "w", args.w);
  const Matrix dy = call.matrix("dy", args.dy, kAny, w.rows);
  const Matrix dx = call.matrix("dx", args.dx, dy.rows, w.columns);
  for_each_group(call, w, args.offsets, dy.rows, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
    products_.multiply({rows, w.columns, w.rows}, {dy.row(first), dy.stride}, {w.matrix(e), w.row_stride},
                       {dx.row(first), dx.stride});
  });
}

void HostOps::grouped_linear_backward_weight(const GroupedLinearBackwardWeight& args) {
  const Call call("grouped_linear_backward_weight");
  const Experts dw(call, "dw", args.dw);
  const Matrix x = call.matrix("x", args.x, kAny, dw.columns);
  const Matrix dy = call.matrix("dy", args.dy, x.rows, dw.rows);
  for_each_group(call, dw, args.offsets, x.rows, [&](std::int64_t e, std::int64_t first, std::int64_t rows) {
    products_.multiply({dw.rows, dw.columns, rows}, {dy.row(first), dy.stride, true},
                       {x.row(first), x.stride}, {dw.matrix(e), dw.row_stride, result_of(args.accumulate)});
  });
  if (!args.squares.empty()) sum_of_squares({args.dw, args.squares});
}

}  // namespace caravan::host
