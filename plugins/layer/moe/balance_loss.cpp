#include "plugins/layer/moe/balance_loss.hpp"

namespace caravan::moe {

void BalanceLoss::plan(const BatchShape& shape, StashPlan& plan) {
  const bool gathers = is_wanted() && rows_.travel(), trains = shape.phase == Phase::train;
  const auto memory = [&](std::int64_t width, bool is_needed) {
    return is_needed ? rows_.memory(shape, width) : Shape{0, width};
  };
  logits_ =
      plan.add("balance.logits", DType::f32, memory(experts_, gathers && trains), Lifetime::input, "router");
  choices_ =
      plan.add("balance.choices", DType::i32, memory(top_k_, gathers && trains), Lifetime::input, "router");
  gradient_ =
      plan.add("balance.gradient", shape.compute, memory(experts_, gathers && trains), Lifetime::backward);
}

void BalanceLoss::gather(Run& run, const TensorView& memory, const TensorView& own) const {
  run.device.copy(Lane::compute, rows_.own(run.shape, memory).data, own.data, own.bytes());
  rows_.gather_blocks(memory);
}

BalanceLoss::Routed BalanceLoss::of_sequences(const Run& run, const Frame& frame,
                                              const Routed& routed) const {
  if (!rows_.travel()) return routed;
  return {rows_.all(run.shape, frame[logits_]), rows_.all(run.shape, frame[choices_])};
}

void BalanceLoss::forward(Run& run, const Frame& frame, const Routed& routed) const {
  if (!is_wanted() || !run.training()) return;
  if (rows_.travel()) {
    gather(run, frame[logits_], routed.logits);
    gather(run, frame[choices_], routed.experts);
  }
  if (!run.counts() || run.shape.tensor_rank > 0) return;
  const Routed all = of_sequences(run, frame, routed);
  run.ops.balance_loss_forward(
      {all.logits, all.experts, run.shape.length, coefficient_ * run.sequence_scale, run.balance_loss});
}

void BalanceLoss::backward(Run& run, const Frame& frame, const Routed& routed, TensorView dlogits) const {
  if (!is_wanted() || (!rows_.travel() && run.shape.tensor_rank > 0)) return;
  const Routed all = of_sequences(run, frame, routed);
  const TensorView gradient = rows_.travel() ? rows_.all(run.shape, frame[gradient_]) : dlogits;
  if (rows_.travel()) run.device.fill_zero(Lane::compute, gradient.data, gradient.bytes());
  run.ops.balance_loss_backward(
      {all.logits, all.experts, run.shape.length, coefficient_ * run.sequence_scale, gradient});
  if (rows_.travel()) run.ops.add({rows_.own(run.shape, frame[gradient_]), dlogits});
}

}  // namespace caravan::moe
