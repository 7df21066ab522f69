#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/reference_ops.hpp"
#include "core/ops/reference/call.hpp"

namespace caravan {

using namespace reference;

void ReferenceOps::adamw_step(const AdamWStep& args) {
  const Call call("adamw_step");
  const auto master = call.f32_flat("master", args.master, kAny);
  const auto grad = call.f32_flat("grad", args.grad, master.extent(0));
  const auto exp_avg = call.f32_flat("exp_avg", args.exp_avg, master.extent(0));
  const auto exp_avg_sq = call.f32_flat("exp_avg_sq", args.exp_avg_sq, master.extent(0));
  const auto weight =
      args.weight.empty() ? Vector<float>{} : call.flat("weight", args.weight, master.extent(0));
  const double gradient_scale = call.f32_vector("gradient_scale", args.gradient_scale, 1)(0);
  if (args.step < 1) call.fail(fmt::format("step {} (the first step is 1)", args.step));

  if (std::isnan(gradient_scale)) return;

  const double correction1 = 1 - std::pow(args.beta1, static_cast<double>(args.step));
  const double correction2 = 1 - std::pow(args.beta2, static_cast<double>(args.step));
  for (std::int64_t i = 0; i < master.extent(0); ++i) {
    const double decay = args.weight_decay * master(i);
    const double g = gradient_scale * grad(i) + (args.decays_gradient ? decay : 0);
    const double m = args.beta1 * exp_avg(i) + (1 - args.beta1) * g;
    const double v = args.beta2 * exp_avg_sq(i) + (1 - args.beta2) * g * g;
    const double decayed = master(i) - (args.decays_gradient ? 0 : args.lr * decay);
    master(i) =
        static_cast<float>(decayed - args.lr * (m / correction1) / (std::sqrt(v / correction2) + args.eps));
    exp_avg(i) = static_cast<float>(m);
    exp_avg_sq(i) = static_cast<float>(v);
    if (weight) weight(i) = master(i);
  }
}

void ReferenceOps::sum_of_squares(const SumOfSquares& args) {
  const Call call("sum_of_squares");
  const auto x = call.f32_flat("x", args.x, kAny);
  const auto out = call.vector<double>("out", args.out, 1);

  out(0) += sum(x.extent(0), [&](std::int64_t i) { return double{x(i)} * x(i); });
}

void ReferenceOps::clip_factor(const ClipFactor& args) {
  const Call call("clip_factor");
  const double squares = call.vector<double>("squares", args.squares, 1)(0);
  const auto factor = call.f32_vector("factor", args.factor, 1);
  constexpr double kTiny = 1e-6;

  if (std::isnan(factor(0))) return;
  const double scale = args.max_norm > 0 ? std::min(1.0, args.max_norm / (std::sqrt(squares) + kTiny)) : 1.0;
  factor(0) = std::isfinite(squares) ? static_cast<float>(scale) : std::numeric_limits<float>::quiet_NaN();
}

void ReferenceOps::expert_bias_update(const ExpertBiasUpdate& args) {
  const Call call("expert_bias_update");
  const auto counts = call.f32_vector("counts", args.counts, kAny);
  const std::int64_t experts = counts.extent(0);
  const auto bias = call.f32_vector("bias", args.bias, experts);
  const auto proceed = call.optional_f32_vector("proceed", args.proceed, 1);

  const double mean_count =
      sum(experts, [&](std::int64_t e) { return double{counts(e)}; }) / static_cast<double>(experts);
  const auto delta = [&](std::int64_t e) {
    return args.rate * static_cast<float>((mean_count > counts(e)) - (mean_count < counts(e)));
  };
  // In f32 step by step: the bias decides ties between experts, so it must equal torchtitan's to the bit.
  float mean_delta = 0;
  for (std::int64_t e = 0; args.centre && e < experts; ++e) mean_delta += delta(e);
  mean_delta /= static_cast<float>(experts);
  const bool proceeds = !proceed || !std::isnan(proceed(0));
  for (std::int64_t e = 0; proceeds && e < experts; ++e) bias(e) += delta(e) - mean_delta;
  for (std::int64_t e = 0; e < experts; ++e) counts(e) = 0;
}

}  // namespace caravan
