#include <fmt/format.h>

#include <cmath>

#include "host_ops.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// The update as factors of one parameter's values: 5 streams read or written, nothing else computed twice.
struct Factors {
  float gradient, beta1, one_minus_beta1, beta2, one_minus_beta2;
  float decay;  ///< of the gradient: weight_decay, or 0
  float keep;   ///< 1 − lr·weight_decay, or 1
  float rate;   ///< lr / (1 − β1^step)
  float root;   ///< 1 / sqrt(1 − β2^step)
  float eps;
};

Factors factors_of(const AdamWStep& args, float gradient_scale) {
  const auto step = static_cast<double>(args.step);
  return {gradient_scale,
          static_cast<float>(args.beta1),
          static_cast<float>(1 - args.beta1),
          static_cast<float>(args.beta2),
          static_cast<float>(1 - args.beta2),
          static_cast<float>(args.decays_gradient ? args.weight_decay : 0),
          static_cast<float>(args.decays_gradient ? 1 : 1 - args.lr * args.weight_decay),
          static_cast<float>(args.lr / (1 - std::pow(args.beta1, step))),
          static_cast<float>(1 / std::sqrt(1 - std::pow(args.beta2, step))),
          static_cast<float>(args.eps)};
}

struct Streams {
  float* __restrict master;
  const float* __restrict grad;
  float* __restrict exp_avg;
  float* __restrict exp_avg_sq;
};

void update(const Factors& by, const Streams& s, std::int64_t begin, std::int64_t end) {
  float* __restrict master = s.master;
  const float* __restrict grad = s.grad;
  float* __restrict exp_avg = s.exp_avg;
  float* __restrict exp_avg_sq = s.exp_avg_sq;
  const Factors f = by;
  for (std::int64_t i = begin; i < end; ++i) {
    const float g = f.gradient * grad[i] + f.decay * master[i];
    const float m = f.beta1 * exp_avg[i] + f.one_minus_beta1 * g;
    const float v = f.beta2 * exp_avg_sq[i] + f.one_minus_beta2 * g * g;
    exp_avg[i] = m;
    exp_avg_sq[i] = v;
    master[i] = f.keep * master[i] - f.rate * m / (std::sqrt(v) * f.root + f.eps);
  }
}

}  // namespace

void HostOps::adamw_step(const AdamWStep& args) {
  const Call call("adamw_step");
  const std::int64_t count = args.master.count();
  const Streams streams{call.flat("master", args.master, kAny).data(),
                        call.flat("grad", args.grad, count).data(),
                        call.flat("exp_avg", args.exp_avg, count).data(),
                        call.flat("exp_avg_sq", args.exp_avg_sq, count).data()};
  float* weight = args.weight.empty() ? nullptr : call.flat("weight", args.weight, count).data();
  if (args.step < 1) call.fail(fmt::format("step {} (the first step is 1)", args.step));
  const float scale = *call.vector("gradient_scale", args.gradient_scale, 1);
  if (std::isnan(scale)) return;
  const Factors factors = factors_of(args, scale);
  team_.for_elements(count, [&](std::int64_t begin, std::int64_t end) {
    update(factors, streams, begin, end);
    if (weight) Line(weight + begin, end - begin) = ConstLine(streams.master + begin, end - begin);
  });
}

}  // namespace caravan::host
