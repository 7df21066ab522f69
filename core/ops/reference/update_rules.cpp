// The rules beside AdamW's, and what rules that see whole matrices are made of.
#include <algorithm>
#include <cmath>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

namespace {

/// What a rule writes: the master and its copy in the compute type.
struct Updated {
  Vector<float> master, weight;

  Updated(const Call& call, const TensorView& master_, const TensorView& weight_)
      : master(call.f32_flat("master", master_, kAny)),
        weight(weight_.empty() ? Vector<float>{} : call.flat("weight", weight_, master.extent(0))) {}
  std::int64_t count() const { return master.extent(0); }
  void set(std::int64_t i, double value) const {
    master(i) = static_cast<float>(value);
    if (weight) weight(i) = master(i);
  }
};

double sign(double value) {
  return (value > 0) - (value < 0);
}

}  // namespace

void ReferenceOps::sgd_step(const SgdStep& args) {
  const Call call("sgd_step");
  const Updated to(call, args.master, args.weight);
  const auto grad = call.f32_flat("grad", args.grad, to.count());
  const auto buffer = args.momentum_buffer.empty()
                          ? Vector<float>{}
                          : call.f32_flat("momentum_buffer", args.momentum_buffer, to.count());
  const auto scales = call.optional_f32_vector("gradient_scale", args.gradient_scale, 1),
             proceed = call.optional_f32_vector("proceed", args.proceed, 1);
  const double scale = scales ? scales(0) : 1;

  if (std::isnan(scale) || (proceed && std::isnan(proceed(0)))) return;
  for (std::int64_t i = 0; i < to.count(); ++i) {
    const double g = scale * grad(i) + args.weight_decay * to.master(i);
    const double b = buffer ? args.momentum * buffer(i) + g : g;
    if (buffer) buffer(i) = static_cast<float>(b);
    to.set(i, to.master(i) - args.lr * (buffer && args.nesterov ? g + args.momentum * b : b));
  }
}

void ReferenceOps::lion_step(const LionStep& args) {
  const Call call("lion_step");
  const Updated to(call, args.master, args.weight);
  const auto grad = call.f32_flat("grad", args.grad, to.count()),
             exp_avg = call.f32_flat("exp_avg", args.exp_avg, to.count());
  const double scale = call.f32_vector("gradient_scale", args.gradient_scale, 1)(0);

  if (std::isnan(scale)) return;
  for (std::int64_t i = 0; i < to.count(); ++i) {
    const double g = scale * grad(i), m = exp_avg(i);
    const double direction = sign(args.beta1 * m + (1 - args.beta1) * g);
    to.set(i, to.master(i) - args.lr * (args.weight_decay * to.master(i) + direction));
    exp_avg(i) = static_cast<float>(args.beta2 * m + (1 - args.beta2) * g);
  }
}

void ReferenceOps::momentum_step(const MomentumStep& args) {
  const Call call("momentum_step");
  const auto grad = call.f32_flat("grad", args.grad, kAny);
  const auto buffer = call.f32_flat("momentum_buffer", args.momentum_buffer, grad.extent(0));
  const double scale = call.f32_vector("gradient_scale", args.gradient_scale, 1)(0);

  if (std::isnan(scale)) return;
  for (std::int64_t i = 0; i < grad.extent(0); ++i) {
    const double g = (1 - args.beta) * scale * grad(i), b = args.beta * buffer(i) + g;
    buffer(i) = static_cast<float>(b);
    grad(i) = static_cast<float>(args.nesterov ? args.beta * b + g : b);
  }
}

void ReferenceOps::weighted_sum(const WeightedSum& args) {
  const Call call("weighted_sum");
  const auto x = call.f32_flat("x", args.x, kAny);
  const auto y = args.y.empty() ? Vector<float>{} : call.f32_flat("y", args.y, x.extent(0));
  const auto out = call.f32_flat("out", args.out, x.extent(0));
  const double root =
      args.squares.empty() ? 1 : std::sqrt(call.vector<double>("squares", args.squares, 1)(0));

  const double by = args.squares.empty() ? 1 : std::max(root, args.floor);
  for (std::int64_t i = 0; i < x.extent(0); ++i)
    out(i) = static_cast<float>((args.a * x(i) + (y ? args.b * y(i) : 0.0)) / by);
}

}  // namespace caravan
