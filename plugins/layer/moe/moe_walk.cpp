#include "plugins/layer/moe/moe_layer.hpp"

// Forward, I and W of the layer's segments, in the order of forward.
namespace caravan::moe {

RoutedTokens MoeLayer::routed(const Run& run, const Frame& frame, TensorView noise_std) const {
  return {.rule = options_.rule,
          .logits = frame[logits_],
          .noise_std = noise_std,
          .noise_key = run.key(stream_, ".moe.router.noise"),
          .rows = options_.cuts_experts ? run.token_map : run.row_map(),
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
                         .counts = run.counts() && counts_choices(run) ? counts_.data : TensorView{}});
}

void MoeLayer::limit(Run& run, Frame& frame, TensorView choices) {
  const std::int64_t most = capacity(run.shape);
  if (most == 0) return;
  run.ops.limit_choices(
      {.choices = choices,
       .capacity = most,
       .sequence_length = run.shape.sequence_length(),
       .rows = sequences_.rows(run),
       .offsets = frame[offsets_],
       .row_of = frame[row_of_],
       .choice_of = frame[choice_of_],
       .dropped = run.pass == Pass::first && counts_choices(run) ? run.dropped : TensorView{}});
}

void MoeLayer::router_forward(Run& run, Frame& frame) {
  if (!options_.cuts_experts) norm_.forward(run, frame);
  if (run.makes(frame, logits_)) score(run, frame, routed_rows(run, frame));
}

void MoeLayer::score(Run& run, Frame& frame, TensorView normed) {
  run.ops.linear_forward({normed, gate_.weight, {}, {}, frame[logits_]});
  if (run.training() && noise_) {
    run.ops.linear_forward({normed, noise_->weight, {}, {}, frame[noise_std_]});
    const TensorView clean = frame[clean_logits_];
    if (balance_.is_wanted(run.shape.phase))
      run.device.copy(Lane::compute, clean.data, frame[logits_].data, clean.bytes());
  }
  route(run, frame);
  if (asks_sequences(run.shape)) limit(run, frame, sequences_.gather(run, frame, choices_, frame[experts_]));
  balance_.forward(run, frame, balanced(run, frame));
}

void MoeLayer::route_backward(Run& run, Frame& frame) {
  run.ops.route_backward({.routed = routed(run, frame, noise_ ? frame[noise_std_] : TensorView{}),
                          .dweights = frame[dweights_],
                          .dlogits = frame[dlogits_],
                          .dnoise = noise_ ? frame[dnoise_] : TensorView{}});
  balance_.backward(run, frame, balanced(run, frame), frame[dlogits_]);
}

void MoeLayer::router_backward_input(Run& run, Frame& frame) {
  const TensorView gradient = routed_gradient(run, frame);
  if (gathers_shared()) run.ops.add({frame[drouted_], gradient});
  route_backward(run, frame);
  run.ops.linear_backward_input({frame[dlogits_], gate_.weight, gradient, true});
  if (noise_) run.ops.linear_backward_input({frame[dnoise_], noise_->weight, gradient, true});
  if (!options_.cuts_experts) norm_.backward_input(run, frame, frame.dy);
}

void MoeLayer::router_backward_weight(Run& run, Frame& frame) {
  const TensorView normed = routed_rows(run, frame);
  if (gate_.is_trained()) run.ops.linear_backward_weight({normed, frame[dlogits_], gate_.grad, {}});
  if (noise_ && noise_->is_trained())
    run.ops.linear_backward_weight({normed, frame[dnoise_], noise_->grad, {}});
  if (!options_.cuts_experts) norm_.backward_weight(run, frame);
}

void MoeLayer::shared_forward(Run& run, Frame& frame) {
  if (!shared_ || goes_at_once(run, frame)) return;
  shared_in_.rest(run, frame);
  if (rows_travel())
    shared_->forward_out(run, frame, {}, norm_.rows().all(run.shape, frame[summand_]));
  else
    shared_->forward_out(run, frame, dropout_.residual(run, frame), frame.y);
}

void MoeLayer::shared_forward_in(Run& run, Frame& frame, RowRange rows) {
  shared_->forward_in(run, frame, norm_.all_output(run, frame), rows);
}

TensorView MoeLayer::base(const Run& run, const Frame& frame) const {
  if (options_.cuts_experts) return shared_ ? combined(run, frame) : TensorView{};
  if (gathers_shared()) return norm_.rows().own(run.shape, frame[summand_]);
  return shared_ ? frame.y : dropout_.residual(run, frame);
}

TensorView MoeLayer::shared_gradient(const Run& run, const Frame& frame) const {
  return rows_travel() ? norm_.rows().all(run.shape, frame[dresult_]) : dropout_.gradient(frame);
}

void MoeLayer::shared_backward_input(Run& run, Frame& frame) {
  if (!shared_) return;
  shared_out_.rest(run, frame);
  shared_->backward_in(run, frame, norm_.all_gradient(run, frame));
}

void MoeLayer::shared_backward_out(Run& run, Frame& frame, RowRange rows) {
  shared_->backward_out(run, frame, shared_gradient(run, frame), rows);
}

void MoeLayer::shared_backward_weight(Run& run, Frame& frame) {
  if (shared_)
    shared_->backward_weight(run, frame, norm_.all_output(run, frame), shared_gradient(run, frame));
}

bool MoeLayer::goes_at_once(const Run& run, const Frame& frame) const {
  return run.shape.phase == Phase::decode && !has_adapters() && held_.keeps_order && !rows_travel() &&
         run.ops.serves(at_once(run, frame));
}

DecodeExperts MoeLayer::at_once(const Run& run, const Frame& frame) const {
  const bool on_output = options_.score_side == ScoreSide::output;
  DecodeExperts args{.x = routed_rows(run, frame),
                     .offsets = frame[offsets_],
                     .row_of = frame[row_of_],
                     .choice_of = frame[choice_of_],
                     .w = on_output ? TensorView{} : frame[weights_],
                     .v = on_output ? frame[weights_] : TensorView{},
                     .gate_up = of_held_experts(gate_up_, gate_up_.weight),
                     .down = of_held_experts(down_, down_.weight),
                     .activated = frame[activated_],
                     .out = frame[expert_out_],
                     .base = frame.x,
                     .y = frame.y};
  if (!shared_) return args;
  args.shared_gate_up = shared_->gate_up().weight;
  args.shared_down = shared_->down().weight;
  args.shared_activated = shared_->activated(frame);
  return args;
}

void MoeLayer::experts_forward(Run& run, Frame& frame) {
  if (goes_at_once(run, frame)) return run.ops.decode_experts(at_once(run, frame));
  const TensorView offsets = received_offsets(frame), received = frame[received_];
  forward_gate_up(run, frame,
                  {received,
                   offsets,
                   of_held_experts(gate_up_, gate_up_.weight),
                   pre_,
                   activated_,
                   {0, received.extent(0)}},
                  gate_up_adapters_, rows_of_experts(frame));
  const bool makes = run.makes(frame, expert_out_);
  if (makes)
    run.ops.grouped_linear_forward(
        {frame[activated_], offsets, of_held_experts(down_, down_.weight), frame[expert_out_]});
  down_adapters_.forward(run, frame, rows_of_experts(frame), frame[activated_],
                         makes ? frame[expert_out_] : TensorView{});
}

void MoeLayer::experts_backward_input(Run& run, Frame& frame) {
  const TensorView offsets = received_offsets(frame);
  backward_down(run, frame,
                {frame[dexpert_out_], offsets, of_held_experts(down_, down_.weight), frame[pre_],
                 frame[dactivated_], frame[dpre_]},
                down_adapters_, rows_of_experts(frame));
  run.ops.grouped_linear_backward_input(
      {frame[dpre_], offsets, of_held_experts(gate_up_, gate_up_.weight), frame[dreceived_]});
  gate_up_adapters_.backward_input(run, frame, rows_of_experts(frame), frame[dpre_], frame[dreceived_]);
}

void MoeLayer::experts_backward_weight(Run& run, Frame& frame) {
  const TensorView offsets = received_offsets(frame);
  if (down_.is_trained())
    run.ops.grouped_linear_backward_weight({frame[activated_], frame[dexpert_out_], offsets,
                                            of_held_experts(down_, down_.grad), down_.begin_sum(),
                                            down_.squares});
  if (gate_up_.is_trained())
    run.ops.grouped_linear_backward_weight({frame[received_], frame[dpre_], offsets,
                                            of_held_experts(gate_up_, gate_up_.grad), gate_up_.begin_sum(),
                                            gate_up_.squares});
  down_adapters_.backward_weight(run, frame, rows_of_experts(frame), frame[activated_], frame[dexpert_out_]);
  gate_up_adapters_.backward_weight(run, frame, rows_of_experts(frame), frame[received_], frame[dpre_]);
}

void MoeLayer::merge_forward(Run& run, Frame& frame) {
  if (options_.cuts_experts)
    dropout_.merge(run, frame, norm_.rows().own(run.shape, frame[summand_]));
  else if (gathers_shared())
    dropout_.merge(run, frame, frame.y);
  else
    dropout_.finish(run, frame);
}

void MoeLayer::merge_backward_input(Run& run, Frame& frame) {
  dropout_.backward_input(run, frame);
  if (!rows_travel()) return;
  const TensorView own = norm_.rows().own(run.shape, frame[dresult_]), gradient = dropout_.gradient(frame);
  run.device.copy(Lane::compute, own.data, gradient.data, gradient.bytes());
}

}  // namespace caravan::moe
