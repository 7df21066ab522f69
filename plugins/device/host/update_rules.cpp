// The rules beside AdamW's, and what rules that see whole matrices are made of.
#include <algorithm>
#include <cmath>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// What a rule writes: the master and its copy.
struct Updated {
  float* master;
  float* weight;  ///< or null
  std::int64_t count;

  Updated(const Call& call, const TensorView& master_, const TensorView& weight_)
      : master(call.flat("master", master_, kAny).data()),
        weight(weight_.empty() ? nullptr : call.flat("weight", weight_, master_.count()).data()),
        count(master_.count()) {}
};

/// rule(i) for every element, then the copies.
template <class Rule>
void update(const Team& team, const Updated& to, const Rule& rule) {
  team.for_elements(to.count, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) rule(i);
    if (to.weight) Line(to.weight + begin, end - begin) = ConstLine(to.master + begin, end - begin);
  });
}

float* flat_or_null(const Call& call, const char* name, const TensorView& view, std::int64_t count) {
  return view.empty() ? nullptr : call.flat(name, view, count).data();
}

}  // namespace

void HostOps::sgd_step(const SgdStep& args) {
  const Call call("sgd_step");
  const Updated to(call, args.master, args.weight);
  float* __restrict master = to.master;
  const float* __restrict grad = call.flat("grad", args.grad, to.count).data();
  float* __restrict buffer = flat_or_null(call, "momentum_buffer", args.momentum_buffer, to.count);
  const float* scales = call.optional_vector("gradient_scale", args.gradient_scale, 1);
  const float* proceed = call.optional_vector("proceed", args.proceed, 1);
  const float scale = scales ? *scales : 1;
  if (std::isnan(scale) || (proceed && std::isnan(*proceed))) return;
  const auto lr = static_cast<float>(args.lr), decay = static_cast<float>(args.weight_decay),
             momentum = static_cast<float>(args.momentum);
  if (!buffer)
    return update(team_, to,
                  [=](std::int64_t i) { master[i] -= lr * (scale * grad[i] + decay * master[i]); });
  const float own = args.nesterov ? 1 : 0, of_buffer = args.nesterov ? momentum : 1;
  update(team_, to, [=](std::int64_t i) {
    const float g = scale * grad[i] + decay * master[i], b = momentum * buffer[i] + g;
    buffer[i] = b;
    master[i] -= lr * (own * g + of_buffer * b);
  });
}

void HostOps::lion_step(const LionStep& args) {
  const Call call("lion_step");
  const Updated to(call, args.master, args.weight);
  float* __restrict master = to.master;
  const float* __restrict grad = call.flat("grad", args.grad, to.count).data();
  float* __restrict exp_avg = call.flat("exp_avg", args.exp_avg, to.count).data();
  const float scale = *call.vector("gradient_scale", args.gradient_scale, 1);
  if (std::isnan(scale)) return;
  const auto lr = static_cast<float>(args.lr), keep = static_cast<float>(1 - args.lr * args.weight_decay),
             beta1 = static_cast<float>(args.beta1), rest1 = static_cast<float>(1 - args.beta1),
             beta2 = static_cast<float>(args.beta2), rest2 = static_cast<float>(1 - args.beta2);
  update(team_, to, [=](std::int64_t i) {
    const float g = scale * grad[i], m = exp_avg[i], c = beta1 * m + rest1 * g;
    const float direction = static_cast<float>(c > 0) - static_cast<float>(c < 0);
    master[i] = keep * master[i] - lr * direction;
    exp_avg[i] = beta2 * m + rest2 * g;
  });
}

void HostOps::momentum_step(const MomentumStep& args) {
  const Call call("momentum_step");
  const std::int64_t count = args.grad.count();
  float* __restrict grad = call.flat("grad", args.grad, kAny).data();
  float* __restrict buffer = call.flat("momentum_buffer", args.momentum_buffer, count).data();
  const float scale = *call.vector("gradient_scale", args.gradient_scale, 1);
  if (std::isnan(scale)) return;
  const auto beta = static_cast<float>(args.beta), rest = static_cast<float>(1 - args.beta) * scale;
  const float of_buffer = args.nesterov ? beta : 1, own = args.nesterov ? 1 : 0;
  team_.for_elements(count, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float g = rest * grad[i], b = beta * buffer[i] + g;
      buffer[i] = b;
      grad[i] = of_buffer * b + own * g;
    }
  });
}

void HostOps::weighted_sum(const WeightedSum& args) {
  const Call call("weighted_sum");
  const std::int64_t count = args.x.count();
  const float* x = call.flat("x", args.x, kAny).data();
  const float* y = flat_or_null(call, "y", args.y, count);
  float* out = call.flat("out", args.out, count).data();
  const double by =
      args.squares.empty() ? 1 : std::max(std::sqrt(*call.scalar_f64("squares", args.squares)), args.floor);
  const auto a = static_cast<float>(args.a / by), b = static_cast<float>(args.b / by);
  team_.for_elements(count, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t size = end - begin;
    if (y)
      Line(out + begin, size) = a * ConstLine(x + begin, size) + b * ConstLine(y + begin, size);
    else
      Line(out + begin, size) = a * ConstLine(x + begin, size);
  });
}

}  // namespace caravan::host
