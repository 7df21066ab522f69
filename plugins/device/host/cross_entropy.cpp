#include <algorithm>
#include <cmath>

#include "head.hpp"
#include "host_ops.hpp"

namespace caravan::host {
namespace {

Head check_whole_head(const Call& call, const LinearCrossEntropy& args, const Team& team,
                      Products& products) {
  Head head = check_head(call, args, team, products);
  head.logits = call.optional_matrix("logits", args.logits, head.x.rows, head.w.rows);
  check_labels(call, head, {0, head.w.rows});
  head.dx = call.optional_matrix("dx", args.dx, head.x.rows, head.x.columns);
  if (!head.dx) return head;
  head.dw = call.optional_matrix("dw", args.dw, head.w.rows, head.w.columns);
  head.dbias = call.optional_vector("dbias", args.dbias, head.w.rows);
  return head;
}

/// The loss of a row of columns whole vectors long; the row becomes its gradient when that is wanted.
double loss_of_row(const Head& head, std::int64_t t, float* row, std::int64_t columns, float gradient_scale) {
  const std::int32_t label = head.labels[t];
  if (label == kIgnoredLabel) {
    std::fill(row, row + columns, 0.0f);
    return 0;
  }
  const double at_label = row[label];
  const float maximum = row_maximum(row, columns);
  const double total = exponentiate(row, columns, maximum);
  if (head.dx) {
    Line(row, columns) *= static_cast<float>(gradient_scale / total);
    row[label] -= gradient_scale;
  }
  return std::log(total) + maximum - at_label;
}

}  // namespace

void HostOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Call call("linear_cross_entropy");
  const Head head = check_whole_head(call, args, team_, products_);
  double* loss_sum = call.scalar_f64("loss_sum", args.loss_sum);
  const LogitBlocks blocks(head, workspace(0));
  double* losses = blocks.numbers();
  blocks.walk([&](std::int64_t first, const Matrix& z) {
    team_.for_each(z.rows, 4 * z.columns, [&](std::int64_t r, std::int64_t) {
      losses[r] = loss_of_row(head, first + r, z.row(r), z.stride, args.gradient_scale);
    });
    for (std::int64_t r = 0; r < z.rows; ++r) *loss_sum += losses[r];
    if (head.dx) add_gradients(head, first, z);
  });
}

}  // namespace caravan::host
