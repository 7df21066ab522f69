#include <fmt/format.h>

#include <utility>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// Where the rows of the tokens went: row_of [T, K] and, unless all are 1, weights [T, K].
struct Choices {
  Rows<std::int32_t> row_of;
  Matrix weights;
  Matrix dweights;
  std::int64_t top_k;

  Choices(const Call& call, const TensorView& row_of_view, const TensorView& weights_view,
          const TensorView& dweights_view)
      : row_of(call.index_matrix("row_of", row_of_view, kAny, kAny)), top_k(row_of.columns) {
    weights = call.optional_matrix("weights", weights_view, row_of.rows, top_k);
    if (weights) dweights = call.optional_matrix("dweights", dweights_view, row_of.rows, top_k);
  }
  float weight(std::int64_t t, std::int64_t k) const { return weights ? weights.row(t)[k] : 1.0f; }
  std::int64_t row(std::int64_t t, std::int64_t k) const { return row_of.row(t)[k]; }
  bool has_row(std::int64_t t, std::int64_t k) const { return row(t, k) >= 0; }
  /// Before the loop, because an exception must not leave a worker.
  void check_rows(const Call& call, std::int64_t rows) const {
    for (std::int64_t t = 0; t < row_of.rows; ++t) {
      for (std::int64_t k = 0; k < top_k; ++k) {
        if (row(t, k) < -1 || row(t, k) >= rows) {
          call.fail(fmt::format("row_of[{}, {}] is {} (there are {} rows)", t, k, row(t, k), rows));
        }
      }
    }
  }
};

}  // namespace

void HostOps::permute_forward(const PermuteForward& args) {
  const Call call("permute_forward");
  const Matrix x = call.matrix("x", args.x, kAny, kAny);
  const Matrix out = call.matrix("out", args.out, kAny, x.columns);
  const std::int32_t* choice_of = call.indices("choice_of", args.choice_of, out.rows);
  const Matrix weights = call.optional_matrix("weights", args.weights, x.rows, args.top_k);
  for (std::int64_t r = 0; r < out.rows; ++r) {
    if (choice_of[r] < -1 || choice_of[r] >= x.rows * args.top_k) {
      call.fail(
          fmt::format("choice_of[{}] is {} ({} tokens with top_k {})", r, choice_of[r], x.rows, args.top_k));
    }
  }
  team_.for_each(out.rows, out.columns, [&](std::int64_t r, std::int64_t) {
    const std::int64_t choice = choice_of[r];
    if (choice < 0) return;
    const std::int64_t token = choice / args.top_k;
    if (weights) {
      out.line(r) = x.line(token) * weights.row(token)[choice % args.top_k];
    } else {
      out.line(r) = x.line(token);
    }
  });
}

void HostOps::permute_backward(const PermuteBackward& args) {
  const Call call("permute_backward");
  const Choices choices(call, args.row_of, args.weights, args.dweights);
  const Matrix dx = call.matrix("dx", args.dx, choices.row_of.rows, kAny);
  const Matrix dout = call.matrix("dout", args.dout, kAny, dx.columns);
  const Matrix x = choices.weights ? call.matrix("x", args.x, dx.rows, dx.columns) : Matrix{};
  choices.check_rows(call, dout.rows);
  team_.for_each(dx.rows, dx.columns * choices.top_k, [&](std::int64_t t, std::int64_t) {
    bool is_sum = args.accumulate;
    for (std::int64_t k = 0; k < choices.top_k; ++k) {
      if (choices.dweights) choices.dweights.row(t)[k] = 0;
      if (!choices.has_row(t, k)) continue;
      const Line from = dout.line(choices.row(t, k));
      if (choices.dweights) choices.dweights.row(t)[k] = (x.line(t) * from).sum();
      if (std::exchange(is_sum, true)) {
        dx.line(t) += choices.weight(t, k) * from;
      } else {
        dx.line(t) = choices.weight(t, k) * from;
      }
    }
    if (!is_sum) dx.line(t) = 0;
  });
}

void HostOps::combine_forward(const CombineForward& args) {
  const Call call("combine_forward");
  const Choices choices(call, args.row_of, args.weights, {});
  const Matrix y = call.matrix("y", args.y, choices.row_of.rows, kAny);
  const Matrix rows = call.matrix("rows", args.rows, kAny, y.columns);
  const Matrix base = call.optional_matrix("base", args.base, y.rows, y.columns);
  choices.check_rows(call, rows.rows);
  team_.for_each(y.rows, y.columns * choices.top_k, [&](std::int64_t t, std::int64_t) {
    bool is_sum = false;
    for (std::int64_t k = 0; k < choices.top_k; ++k) {
      if (!choices.has_row(t, k)) continue;
      const Line from = rows.line(choices.row(t, k));
      const float weight = choices.weight(t, k);
      if (std::exchange(is_sum, true)) {
        y.line(t) += weight * from;
      } else if (base) {
        y.line(t) = base.line(t) + weight * from;
      } else {
        y.line(t) = weight * from;
      }
    }
    if (is_sum) return;
    if (!base) {
      y.line(t) = 0;
    } else if (args.base.data != args.y.data) {
      y.line(t) = base.line(t);
    }
  });
}

void HostOps::combine_backward(const CombineBackward& args) {
  const Call call("combine_backward");
  const Choices choices(call, args.row_of, args.weights, args.dweights);
  const Matrix dy = call.matrix("dy", args.dy, choices.row_of.rows, kAny);
  const Matrix drows = call.matrix("drows", args.drows, kAny, dy.columns);
  const Matrix rows = choices.weights ? call.matrix("rows", args.rows, drows.rows, dy.columns) : Matrix{};
  choices.check_rows(call, drows.rows);
  team_.for_each(dy.rows, dy.columns * choices.top_k, [&](std::int64_t t, std::int64_t) {
    for (std::int64_t k = 0; k < choices.top_k; ++k) {
      const std::int64_t r = choices.row(t, k);
      if (choices.dweights) choices.dweights.row(t)[k] = 0;
      if (r < 0) continue;
      if (choices.dweights) choices.dweights.row(t)[k] = (dy.line(t) * rows.line(r)).sum();
      drows.line(r) = choices.weight(t, k) * dy.line(t);
    }
  });
}

}  // namespace caravan::host
