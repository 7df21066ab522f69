#include <cmath>

#include "host_ops.hpp"
#include "vec.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// Σ x². Its order depends on the width alone, not on where the row lies: in decoding a row gives the same
/// bits in any company.
float sum_of_squares_of(const float* x, std::int64_t width) {
  Vec sums{};
  std::int64_t h = 0;
  for (; h + kLanes <= width; h += kLanes) {
    const Vec part = load(x + h);
    sums += part * part;
  }
  float sum = sum_of(sums);
  for (; h < width; ++h) sum += x[h] * x[h];
  return sum;
}

}  // namespace

void HostOps::rmsnorm_forward(const RmsNormForward& args) {
  const Call call("rmsnorm_forward");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix y = call.matrix("y", args.y, x.rows, x.columns);
  const ConstLine weight(call.vector("weight", args.weight, x.columns), x.columns);
  float* rstd = call.vector("rstd", args.rstd, x.rows);
  const auto width = static_cast<float>(x.columns);
  team_.for_each(x.rows, 2 * x.columns, [&](std::int64_t t, std::int64_t) {
    const float scale = 1 / std::sqrt(sum_of_squares_of(x.row(t), x.columns) / width + args.eps);
    rstd[t] = scale;
    y.line(t) = x.line(t) * scale * weight;
  });
}

void HostOps::rmsnorm_backward_input(const RmsNormBackwardInput& args) {
  const Call call("rmsnorm_backward_input");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, x.rows, x.columns);
  const Matrix dx = call.matrix("dx", args.dx, x.rows, x.columns);
  const Matrix residual = call.optional_matrix("residual", args.residual, x.rows, x.columns);
  const ConstLine weight(call.vector("weight", args.weight, x.columns), x.columns);
  const float* rstd = call.vector("rstd", args.rstd, x.rows);
  const auto width = static_cast<float>(x.columns);
  team_.for_each(x.rows, 2 * x.columns, [&](std::int64_t t, std::int64_t) {
    const float scale = rstd[t];
    const float mean = (x.line(t) * weight * dy.line(t)).sum() / width;
    const float slope = scale * scale * scale * mean;
    if (residual) {
      dx.line(t) = residual.line(t) + weight * dy.line(t) * scale - x.line(t) * slope;
    } else {
      dx.line(t) = weight * dy.line(t) * scale - x.line(t) * slope;
    }
  });
}

void HostOps::rmsnorm_backward_weight(const RmsNormBackwardWeight& args) {
  const Call call("rmsnorm_backward_weight");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, x.rows, x.columns);
  const float* rstd = call.vector("rstd", args.rstd, x.rows);
  float* dweight = call.vector("dweight", args.dweight, x.columns);
  team_.for_columns(x.rows, x.columns, [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t t = 0; t < x.rows; ++t)
      Line(dweight + first, count) +=
          ConstLine(dy.row(t) + first, count) * (ConstLine(x.row(t) + first, count) * rstd[t]);
  });
}

}  // namespace caravan::host
