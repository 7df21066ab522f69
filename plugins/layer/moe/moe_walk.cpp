#include "plugins/layer/moe/moe_layer.hpp"

// Forward, I and W of the layer's segments, in the order of forward.
namespace caravan::moe {

void MoeLayer::route(Run& run, Frame& frame) {
  const TensorView noise = run.training() && noise_ ? frame[noise_std_] : TensorView{};
  RouteForward args{};
  args.routed.rule = options_.rule;
  args.routed.logits = frame[logits_];
  args.routed.noise_std = noise;
  args.routed.noise_key = run.key(stream_, ".moe.router.noise");
  args.routed.first_token = run.first_sample * run.shape.length;
  args.routed.bias = bias_ ? bias_->data : TensorView{};
  args.routed.experts = frame[experts_];
  args.routed.weights = frame[weights_];
  args.offsets = frame[offsets_];
  args.row_of = frame[row_of_];
  args.choice_of = frame[choice_of_];
  args.counts = run.counts() ? counts_.data : TensorView{};
  run.ops.route_forward(args);
}

void MoeLayer::router_forward(Run& run, Frame& frame) {
  const TensorView normed = norm_.forward(run, frame);
  if (run.makes(frame, logits_)) score(run, frame, normed);
  if (!run.makes(frame, received_)) return;
  const TensorView scores = options_.score_on_input ? frame[weights_] : TensorView{};
  run.ops.permute_forward({normed, frame[choice_of_], scores, options_.rule.top_k, sent(frame)});
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
  RouteBackward args{};
  args.routed.rule = options_.rule;
  args.routed.logits = frame[logits_];
  args.routed.noise_std = noise_ ? frame[noise_std_] : TensorView{};
  args.routed.noise_key = run.key(stream_, ".moe.router.noise");
  args.routed.first_token = run.first_sample * run.shape.length;
  args.routed.bias = bias_ ? bias_->data : TensorView{};
  args.routed.experts = frame[experts_];
  args.routed.weights = frame[weights_];
  args.dweights = frame[dweights_];
  args.dlogits = frame[dlogits_];
  args.dnoise = noise_ ? frame[dnoise_] : TensorView{};
  run.ops.route_backward(args);
  if (balances()) {
    run.ops.balance_loss_backward({balanced_logits(frame), frame[experts_], run.shape.length,
                                   options_.balance_loss * run.sequence_scale, frame[dlogits_]});
  }
}

void MoeLayer::router_backward_input(Run& run, Frame& frame) {
  const bool on_input = options_.score_on_input;
  const TensorView gradient = norm_.gradient(frame);
  run.ops.permute_backward({on_input ? norm_.output(frame) : TensorView{}, dsent(frame), frame[row_of_],
                            on_input ? frame[weights_] : TensorView{}, gradient,
                            on_input ? frame[dweights_] : TensorView{}, shared_.has_value()});
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
  forward_gate_up(run, frame, {frame[received_], frame[offsets_], gate_up_.weight, pre_, activated_});
  if (run.makes(frame, expert_out_))
    run.ops.grouped_linear_forward({frame[activated_], frame[offsets_], down_.weight, frame[expert_out_]});
}

void MoeLayer::experts_backward_input(Run& run, Frame& frame) {
  run.ops.down_backward_input(
      {frame[dexpert_out_], frame[offsets_], down_.weight, frame[pre_], frame[dactivated_], frame[dpre_]});
  run.ops.grouped_linear_backward_input({frame[dpre_], frame[offsets_], gate_up_.weight, frame[dreceived_]});
}

void MoeLayer::experts_backward_weight(Run& run, Frame& frame) {
  run.ops.grouped_linear_backward_weight({frame[activated_], frame[dexpert_out_], frame[offsets_], down_.grad,
                                          down_.begin_sum(), down_.squares});
  run.ops.grouped_linear_backward_weight({frame[received_], frame[dpre_], frame[offsets_], gate_up_.grad,
                                          gate_up_.begin_sum(), gate_up_.squares});
}

void MoeLayer::merge_forward(Run& run, Frame& frame) {
  if (!run.makes_output(frame)) return;
  const TensorView scores = options_.score_on_input ? TensorView{} : frame[weights_];
  run.ops.combine_forward(
      {returned(frame), frame[row_of_], scores, shared_ ? frame.y : dropout_.residual(run, frame), frame.y});
  dropout_.finish(run, frame);
}

void MoeLayer::merge_backward_input(Run& run, Frame& frame) {
  dropout_.backward_input(run, frame);
  const bool on_input = options_.score_on_input;
  run.ops.combine_backward({dropout_.gradient(frame), on_input ? TensorView{} : returned(frame),
                            frame[row_of_], on_input ? TensorView{} : frame[weights_], dreturned(frame),
                            on_input ? TensorView{} : frame[dweights_]});
}

}  // namespace caravan::moe
