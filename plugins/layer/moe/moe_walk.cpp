#include "plugins/layer/moe/moe_layer.hpp"

// Forward, I and W of the layer's segments, in the order of forward.
namespace caravan::moe {

RoutedTokens MoeLayer::routed(const Run& run, const Frame& frame, TensorView noise_std) const {
  return {.rule = options_.rule,
          .logits = frame[logits_],
          .noise_std = noise_std,
          .noise_key = run.key(stream_, ".moe.router.noise"),
          .rows = run.row_map(),
          .bias = bias_ ? bias_->data : TensorView{},
          .experts = frame[experts_],
          .weights = frame[weights_]};
}

void MoeLayer::route(Run& run, Frame& frame) {
  const TensorView noise = run.training() && noise_ ? frame[noise_std_] : TensorView{};
  run.ops.route_forward({.routed = routed(run, frame, noise),
                         .offsets = frame[offsets_],
                         .row_of = frame[row_of_],
                         .choice_of = frame[choice_of_],
                         .counts = run.counts() ? counts_.data : TensorView{},
                         .capacity = {capacity(run.shape.phase, run.shape.length), run.shape.length},
                         .dropped = run.pass == Pass::first ? run.dropped : TensorView{}});
}

void MoeLayer::router_forward(Run& run, Frame& frame) {
  const TensorView normed = norm_.forward(run, frame);
  if (run.makes(frame, logits_)) score(run, frame, normed);
}

void MoeLayer::score(Run& run, Frame& frame, TensorView normed) {
  run.ops.linear_forward({normed, gate_.weight, {}, {}, frame[logits_]});
  if (run.training() && noise_) {
    run.ops.linear_forward({normed, noise_->weight, {}, {}, frame[noise_std_]});
    const TensorView clean = frame[clean_logits_];
    if (balances()) run.device.copy(Lane::compute, clean.data, frame[logits_].data, clean.bytes());
  }
  route(run, frame);
  if (run.counts() && balances()) {
    run.ops.balance_loss_forward({balanced_logits(frame), frame[experts_], run.shape.length,
                                  options_.balance_loss * run.sequence_scale, run.balance_loss});
  }
}

void MoeLayer::route_backward(Run& run, Frame& frame) {
  run.ops.route_backward({.routed = routed(run, frame, noise_ ? frame[noise_std_] : TensorView{}),
                          .dweights = frame[dweights_],
                          .dlogits = frame[dlogits_],
                          .dnoise = noise_ ? frame[dnoise_] : TensorView{}});
  if (balances()) {
    run.ops.balance_loss_backward({balanced_logits(frame), frame[experts_], run.shape.length,
                                   options_.balance_loss * run.sequence_scale, frame[dlogits_]});
  }
}

void MoeLayer::router_backward_input(Run& run, Frame& frame) {
  const TensorView gradient = norm_.gradient(frame);
  route_backward(run, frame);
  run.ops.linear_backward_input({frame[dlogits_], gate_.weight, gradient, true});
  if (noise_) run.ops.linear_backward_input({frame[dnoise_], noise_->weight, gradient, true});
  norm_.backward_input(run, frame, frame.dy);
}

void MoeLayer::router_backward_weight(Run& run, Frame& frame) {
  run.ops.linear_backward_weight({norm_.output(frame), frame[dlogits_], gate_.grad, {}});
  if (noise_) run.ops.linear_backward_weight({norm_.output(frame), frame[dnoise_], noise_->grad, {}});
  norm_.backward_weight(run, frame);
}

void MoeLayer::shared_forward(Run& run, Frame& frame) {
  if (!shared_) return;
  shared_->forward(run, frame, norm_.output(frame), dropout_.residual(run, frame), frame.y);
}

void MoeLayer::shared_backward_input(Run& run, Frame& frame) {
  if (!shared_) return;
  shared_->backward_input(run, frame, dropout_.gradient(frame), norm_.gradient(frame),
                          SwigluBlock::Write::replace);
}

void MoeLayer::shared_backward_weight(Run& run, Frame& frame) {
  if (shared_) shared_->backward_weight(run, frame, norm_.output(frame), dropout_.gradient(frame));
}

void MoeLayer::experts_forward(Run& run, Frame& frame) {
  const TensorView offsets = received_offsets(frame);
  forward_gate_up(run, frame,
                  {frame[received_], offsets, of_held_experts(gate_up_, gate_up_.weight), pre_, activated_});
  if (!run.makes(frame, expert_out_)) return;
  run.ops.grouped_linear_forward(
      {frame[activated_], offsets, of_held_experts(down_, down_.weight), frame[expert_out_]});
}

void MoeLayer::experts_backward_input(Run& run, Frame& frame) {
  const TensorView offsets = received_offsets(frame);
  run.ops.down_backward_input({frame[dexpert_out_], offsets, of_held_experts(down_, down_.weight),
                               frame[pre_], frame[dactivated_], frame[dpre_]});
  run.ops.grouped_linear_backward_input(
      {frame[dpre_], offsets, of_held_experts(gate_up_, gate_up_.weight), frame[dreceived_]});
}

void MoeLayer::experts_backward_weight(Run& run, Frame& frame) {
  const TensorView offsets = received_offsets(frame);
  run.ops.grouped_linear_backward_weight({frame[activated_], frame[dexpert_out_], offsets,
                                          of_held_experts(down_, down_.grad), down_.begin_sum(),
                                          down_.squares});
  run.ops.grouped_linear_backward_weight({frame[received_], frame[dpre_], offsets,
                                          of_held_experts(gate_up_, gate_up_.grad), gate_up_.begin_sum(),
                                          gate_up_.squares});
}

void MoeLayer::merge_forward(Run& run, Frame& frame) {
  dropout_.finish(run, frame);
}

void MoeLayer::merge_backward_input(Run& run, Frame& frame) {
  dropout_.backward_input(run, frame);
}

}  // namespace caravan::moe
