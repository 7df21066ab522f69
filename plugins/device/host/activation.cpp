#include <cstring>

#include "host_ops.hpp"
#include "parallel.hpp"
#include "vec.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// What one row of the forward or the backward reads and writes.
struct SwigluRow {
  const float *gate, *up, *dout;
  float *first, *second;  ///< out, or dgate and dup
};

CARAVAN_INLINE void swiglu_vector(const SwigluRow& row, std::int64_t f) {
  const Vec gate = load(row.gate + f);
  store(row.first + f, gate * sigmoid(gate) * load(row.up + f));
}

CARAVAN_INLINE void swiglu_backward_vector(const SwigluRow& row, std::int64_t f) {
  const Vec gate = load(row.gate + f), up = load(row.up + f), dout = load(row.dout + f);
  const Vec s = sigmoid(gate);
  const Vec silu = gate * s;
  store(row.first + f, dout * up * (s + silu * (broadcast(1.0f) - s)));
  store(row.second + f, dout * silu);
}

/// Runs `vector` over `width` columns; the last, partial vector goes through padded copies.
template <class Vector>
CARAVAN_INLINE void for_columns(const SwigluRow& row, std::int64_t width, const Vector& vector) {
  std::int64_t f = 0;
  for (; f + kLanes <= width; f += kLanes) vector(row, f);
  if (f == width) return;
  const std::size_t bytes = static_cast<std::size_t>(width - f) * sizeof(float);
  float gate[kLanes] = {}, up[kLanes] = {}, dout[kLanes] = {}, first[kLanes], second[kLanes];
  std::memcpy(gate, row.gate + f, bytes);
  std::memcpy(up, row.up + f, bytes);
  if (row.dout) std::memcpy(dout, row.dout + f, bytes);
  vector(SwigluRow{gate, up, dout, first, second}, 0);
  std::memcpy(row.first + f, first, bytes);
  if (row.second) std::memcpy(row.second + f, second, bytes);
}

}  // namespace

void HostOps::swiglu_forward(const SwigluForward& args) {
  const Call call("swiglu_forward");
  const Matrix out = call.matrix("out", args.out, kAny, kAny);
  const std::int64_t width = out.columns;
  const Matrix in = call.matrix("gate_up", args.gate_up, out.rows, 2 * width);
  team_.for_each(out.rows, 4 * width, [&](std::int64_t r, std::int64_t) {
    const SwigluRow row{in.row(r), in.row(r) + width, nullptr, out.row(r), nullptr};
    for_columns(row, width, [](const SwigluRow& part, std::int64_t f) { swiglu_vector(part, f); });
  });
}

void HostOps::swiglu_backward(const SwigluBackward& args) {
  const Call call("swiglu_backward");
  const Matrix dout = call.matrix("dout", args.dout, kAny, kAny);
  const std::int64_t width = dout.columns;
  const Matrix in = call.matrix("gate_up", args.gate_up, dout.rows, 2 * width);
  const Matrix din = call.matrix("dgate_up", args.dgate_up, dout.rows, 2 * width);
  team_.for_each(dout.rows, 8 * width, [&](std::int64_t r, std::int64_t) {
    const SwigluRow row{in.row(r), in.row(r) + width, dout.row(r), din.row(r), din.row(r) + width};
    for_columns(row, width, [](const SwigluRow& part, std::int64_t f) { swiglu_backward_vector(part, f); });
  });
}

}  // namespace caravan::host
