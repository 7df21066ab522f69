#include "plugins/layer/moe/balance_loss.hpp"

namespace caravan::moe {

void BalanceLoss::plan(const BatchShape& shape, StashPlan& plan) {
  const std::int64_t width = is_wanted(shape.phase) ? experts_ : 0;
  logits_ = sequences_.plan(shape, plan, {"balance.logits", DType::f32, width, Lifetime::input, "router"});
  gradient_ =
      sequences_.plan(shape, plan, {"balance.gradient", shape.compute, width, Lifetime::backward, {}});
}

void BalanceLoss::forward(Run& run, const Frame& frame, const Routed& routed) const {
  if (!is_wanted(run.shape.phase)) return;
  const TensorView logits = sequences_.gather(run, frame, logits_, routed.logits);
  if (!run.counts() || !sequences_.counts(run.shape)) return;
  run.ops.balance_loss_forward({logits, routed.choices, run.shape.sequence_length(),
                                coefficient_ * run.sequence_scale, run.balance_loss});
}

void BalanceLoss::backward(Run& run, const Frame& frame, const Routed& routed, TensorView dlogits) const {
  if (!is_wanted(run.shape.phase) || (repeats_ && run.shape.tensor_rank > 0)) return;
  const TensorView gradient = sequences_.whole(run, frame, gradient_, dlogits);
  if (sequences_.travel()) run.device.fill_zero(Lane::compute, gradient.data, gradient.bytes());
  run.ops.balance_loss_backward({sequences_.whole(run, frame, logits_, routed.logits), routed.choices,
                                 run.shape.sequence_length(), coefficient_ * run.sequence_scale, gradient});
  if (sequences_.travel()) run.ops.add({sequences_.own(run, frame, gradient_), dlogits});
}

}  // namespace caravan::moe
