#include "gemm.hpp"
#include "host_ops.hpp"
#include "linear_parts.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// y = bias + residual, whichever are there; whether y now holds something that the product adds to.
Result start_output(const Team& team, const Matrix& y, const Matrix& residual, const float* bias) {
  const bool in_place = residual.data == y.data;
  if (!bias && (!residual || in_place)) return residual ? Result::accumulate : Result::replace;
  team.for_each(y.rows, y.columns, [&](std::int64_t t, std::int64_t) {
    Line to = y.line(t);
    if (residual && bias) {
      to = residual.line(t) + ConstLine(bias, y.columns);
    } else {
      to = residual ? ConstLine(residual.row(t), y.columns) : ConstLine(bias, y.columns);
    }
  });
  return Result::accumulate;
}

}  // namespace

void add_column_sums(const Team& team, const Matrix& x, float* to) {
  team.for_columns(x.rows, x.columns, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t t = 0; t < x.rows; ++t) Line(to + first, count) += ConstLine(x.row(t) + first, count);
  });
}

void HostOps::linear_forward(const LinearForward& args) {
  const Call call("linear_forward");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix w = call.matrix("w", args.w, kAny, x.columns);
  const Matrix y = call.matrix("y", args.y, x.rows, w.rows);
  const Matrix residual = call.optional_matrix("residual", args.residual, x.rows, w.rows);
  const float* bias = call.optional_vector("bias", args.bias, w.rows);
  const Result result = start_output(team_, y, residual, bias);
  products_.multiply({y.rows, y.columns, x.columns}, {x.data, x.stride}, {w.data, w.stride, true},
                     {y.data, y.stride, result});
}

void HostOps::linear_backward_input(const LinearBackwardInput& args) {
  const Call call("linear_backward_input");
  const Matrix dy = call.matrix("dy", args.dy, kAny, kAny);
  const Matrix w = call.matrix("w", args.w, dy.columns, kAny);
  const Matrix dx = call.matrix("dx", args.dx, dy.rows, w.columns);
  const Result result = args.accumulate ? Result::accumulate : Result::replace;
  products_.multiply({dx.rows, dx.columns, dy.columns}, {dy.data, dy.stride}, {w.data, w.stride},
                     {dx.data, dx.stride, result});
}

void HostOps::linear_backward_weight(const LinearBackwardWeight& args) {
  const Call call("linear_backward_weight");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, x.rows, kAny);
  const Matrix dw = call.optional_matrix("dw", args.dw, dy.columns, x.columns);
  float* dbias = call.optional_vector("dbias", args.dbias, dy.columns);
  if (dw)
    products_.multiply({dw.rows, dw.columns, x.rows}, {dy.data, dy.stride, true}, {x.data, x.stride},
                       {dw.data, dw.stride, result_of(args.accumulate)});
  if (dbias) add_column_sums(team_, dy, dbias);
}

}  // namespace caravan::host
