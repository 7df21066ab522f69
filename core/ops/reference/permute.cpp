#include <fmt/format.h>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"

namespace caravan {

using namespace reference;

namespace {

/// Rows of (token, k), and the optional weights with the same shape.
struct Choices {
  Matrix<std::int32_t> row_of;
  Matrix<float> weights;
  std::int64_t rows;

  template <class Args>
  Choices(const Call& call, const Args& args, std::int64_t tokens, std::int64_t rows_)
      : row_of(call.matrix<std::int32_t>("row_of", args.row_of, tokens, kAny)),
        weights(call.optional_f32_matrix("weights", args.weights, tokens, row_of.extent(1))),
        rows(rows_) {
    for (std::int64_t t = 0; t < tokens; ++t) {
      for (std::int64_t k = 0; k < top_k(); ++k) {
        if (row_of(t, k) < -1 || row_of(t, k) >= rows) {
          call.fail(fmt::format("row {} of token {} (there are {})", row_of(t, k), t, rows));
        }
      }
    }
  }

  std::int64_t top_k() const { return row_of.extent(1); }
  bool has_row(std::int64_t t, std::int64_t k) const { return row_of(t, k) >= 0; }
  double weight(std::int64_t t, std::int64_t k) const { return weights ? weights(t, k) : 1.0; }
};

/// dweights[t, k] = tokens[t]·rows[row_of[t, k]], or 0
void weight_gradients(const Choices& choices, const Matrix<float>& tokens, const Matrix<float>& rows,
                      const Matrix<float>& dweights) {
  fill(dweights, [&](std::int64_t t, std::int64_t k) {
    if (!choices.has_row(t, k)) return 0.0;
    return sum(tokens.extent(1),
               [&](std::int64_t h) { return double{tokens(t, h)} * rows(choices.row_of(t, k), h); });
  });
}

/// Σ_k w·rows[row_of[t, k], h]
double gather(const Choices& choices, const Matrix<float>& rows, std::int64_t t, std::int64_t h) {
  return sum(choices.top_k(), [&](std::int64_t k) {
    return choices.has_row(t, k) ? choices.weight(t, k) * rows(choices.row_of(t, k), h) : 0.0;
  });
}

}  // namespace

void ReferenceOps::permute_forward(const PermuteForward& args) {
  const Call call("permute_forward");
  const auto x = call.matrix("x", args.x, kAny, kAny);
  const auto choice_of = call.vector<std::int32_t>("choice_of", args.choice_of, kAny);
  const auto weights = call.optional_f32_matrix("weights", args.weights, x.extent(0), args.top_k);
  const auto out = call.matrix("out", args.out, choice_of.extent(0), x.extent(1));

  for (std::int64_t r = 0; r < out.extent(0); ++r) {
    const std::int64_t choice = choice_of(r);
    if (choice == -1) continue;
    if (choice < 0 || choice >= x.extent(0) * args.top_k) {
      call.fail(fmt::format("choice {} of row {} (there are {} tokens with top_k {})", choice, r, x.extent(0),
                            args.top_k));
    }
    const std::int64_t t = choice / args.top_k, k = choice % args.top_k;
    const double weight = weights ? weights(t, k) : 1.0;
    for (std::int64_t h = 0; h < x.extent(1); ++h) out(r, h) = static_cast<float>(weight * x(t, h));
  }
}

void ReferenceOps::permute_backward(const PermuteBackward& args) {
  const Call call("permute_backward");
  const auto dx = call.matrix("dx", args.dx, kAny, kAny);
  const auto dout = call.matrix("dout", args.dout, kAny, dx.extent(1));
  const Choices choices(call, args, dx.extent(0), dout.extent(0));

  if (choices.weights) {
    const auto x = call.matrix("x", args.x, dx.extent(0), dx.extent(1));
    weight_gradients(choices, x, dout,
                     call.f32_matrix("dweights", args.dweights, dx.extent(0), choices.top_k()));
  }
  fill(dx, [&](std::int64_t t, std::int64_t h) {
    return gather(choices, dout, t, h) + (args.accumulate ? dx(t, h) : 0.0);
  });
}

void ReferenceOps::combine_forward(const CombineForward& args) {
  const Call call("combine_forward");
  const auto y = call.matrix("y", args.y, kAny, kAny);
  const auto rows = call.matrix("rows", args.rows, kAny, y.extent(1));
  const auto base = call.optional_matrix("base", args.base, y.extent(0), y.extent(1));
  const Choices choices(call, args, y.extent(0), rows.extent(0));

  fill(y, [&](std::int64_t t, std::int64_t h) {
    return gather(choices, rows, t, h) + (base ? base(t, h) : 0.0);
  });
}

void ReferenceOps::combine_backward(const CombineBackward& args) {
  const Call call("combine_backward");
  const auto dy = call.matrix("dy", args.dy, kAny, kAny);
  const auto drows = call.matrix("drows", args.drows, kAny, dy.extent(1));
  const Choices choices(call, args, dy.extent(0), drows.extent(0));

  if (choices.weights) {
    const auto rows = call.matrix("rows", args.rows, drows.extent(0), dy.extent(1));
    weight_gradients(choices, dy, rows,
                     call.f32_matrix("dweights", args.dweights, dy.extent(0), choices.top_k()));
  }
  for (std::int64_t t = 0; t < dy.extent(0); ++t) {
    for (std::int64_t k = 0; k < choices.top_k(); ++k) {
      for (std::int64_t h = 0; h < dy.extent(1) && choices.has_row(t, k); ++h) {
        drows(choices.row_of(t, k), h) = static_cast<float>(choices.weight(t, k) * dy(t, h));
      }
    }
  }
}

}  // namespace caravan
