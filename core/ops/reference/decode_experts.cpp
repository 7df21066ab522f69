#include <fmt/format.h>

#include "caravan/bf16.hpp"
#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"
#include "core/ops/reference/matrix_product.hpp"
#include "core/ops/reference/scalar_functions.hpp"

namespace caravan {

using namespace reference;

namespace {

/// The checked views of a call.
struct Experts {
  DType dtype;
  Matrix<float> x, activated, shared_gate_up, shared_down, shared_activated, base, y, w, v;
  Array<float, 3> gate_up, down;
  Vector<std::int32_t> offsets, choice_of;
  Matrix<std::int32_t> row_of;

  Experts(const Call& call, const DecodeExperts& args)
      : dtype(args.x.dtype),
        x(call.matrix("x", args.x, kAny, kAny)),
        y(call.matrix("y", args.y, x.extent(0), x.extent(1))),
        down(call.array<float, 3>("down", args.down, {kAny, x.extent(1), kAny})),
        row_of(call.matrix<std::int32_t>("row_of", args.row_of, x.extent(0), kAny)) {
    const std::int64_t T = x.extent(0), H = x.extent(1), E = down.extent(0), F = down.extent(2);
    gate_up = call.array<float, 3>("gate_up", args.gate_up, {E, 2 * F, H});
    offsets = call.vector<std::int32_t>("offsets", args.offsets, E + 1);
    choice_of = call.vector<std::int32_t>("choice_of", args.choice_of, kAny);
    activated = call.matrix("activated", args.activated, choice_of.extent(0), F);
    w = call.optional_f32_matrix("w", args.w, T, row_of.extent(1));
    v = call.optional_f32_matrix("v", args.v, T, row_of.extent(1));
    base = call.optional_matrix("base", args.base, T, H);
    if (args.shared_down.empty()) return;
    shared_down = call.matrix("shared_down", args.shared_down, H, kAny);
    shared_gate_up = call.matrix("shared_gate_up", args.shared_gate_up, 2 * shared_down.extent(1), H);
    shared_activated = call.matrix("shared_activated", args.shared_activated, T, shared_down.extent(1));
  }
  float rounded(double value) const {
    const auto narrow = static_cast<float>(value);
    return dtype == DType::bf16 ? from_bf16(to_bf16(narrow)) : narrow;
  }
};

/// activated[row] = silu(gate·x)·(up·x) for scale·x[t].
void activate(const Experts& all, const Matrix<float>& gate_up, std::int64_t t, double scale,
              const Matrix<float>& activated, std::int64_t row) {
  const std::int64_t F = activated.extent(1);
  const auto product = [&](std::int64_t n) {
    return double{all.rounded(sum(all.x.extent(1), [&](std::int64_t h) {
      return double{all.rounded(scale * all.x(t, h))} * gate_up(n, h);
    }))};
  };
  for (std::int64_t f = 0; f < F; ++f) {
    const double gate = product(f);
    activated(row, f) = all.rounded(gate * sigmoid(gate) * product(F + f));
  }
}

void activate_rows(const Call& call, const Experts& all) {
  const std::int64_t top_k = all.row_of.extent(1), E = all.down.extent(0);
  for (std::int64_t e = 0; e < E; ++e) {
    for (std::int64_t r = all.offsets(e); r < all.offsets(e + 1); ++r) {
      if (r < 0 || r >= all.choice_of.extent(0) || all.choice_of(r) < 0 ||
          all.choice_of(r) >= all.x.extent(0) * top_k)
        call.fail(fmt::format("row {} of expert {} (there are {} rows of {} tokens with top_k {})", r, e,
                              all.choice_of.extent(0), all.x.extent(0), top_k));
      const std::int64_t t = all.choice_of(r) / top_k, k = all.choice_of(r) % top_k;
      activate(all, matrix_of(all.gate_up, e), t, all.w ? all.w(t, k) : 1, all.activated, r);
    }
  }
}

std::int64_t expert_of(const Experts& all, std::int64_t row) {
  std::int64_t expert = 0;
  while (row >= all.offsets(expert + 1)) ++expert;
  return expert;
}

/// Σ_k v·(down·activated)[h]
double routed(const Experts& all, std::int64_t t, std::int64_t h) {
  return sum(all.row_of.extent(1), [&](std::int64_t k) {
    const std::int64_t row = all.row_of(t, k);
    if (row < 0) return 0.0;
    const double result = output_element(all.activated, matrix_of(all.down, expert_of(all, row)), row, h);
    return (all.v ? all.v(t, k) : 1.0) * result;
  });
}

}  // namespace

void ReferenceOps::decode_experts(const DecodeExperts& args) {
  const Call call("decode_experts");
  const Experts all(call, args);
  activate_rows(call, all);
  for (std::int64_t t = 0; all.shared_down && t < all.x.extent(0); ++t)
    activate(all, all.shared_gate_up, t, 1, all.shared_activated, t);
  fill(all.y, [&](std::int64_t t, std::int64_t h) {
    const double shared = all.shared_down ? output_element(all.shared_activated, all.shared_down, t, h) : 0;
    return (all.base ? all.base(t, h) : 0.0) + shared + routed(all, t, h);
  });
}

}  // namespace caravan
