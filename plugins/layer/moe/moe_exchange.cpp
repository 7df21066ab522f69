#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "plugins/layer/moe/moe_layer.hpp"

// What the layer and its dispatcher agree on, and the rows on their way.
namespace caravan::moe {

DispatchNeeds MoeLayer::dispatch_needs(const BatchShape& own) const {
  const BatchShape shape = routed_shape(own);
  const DispatchNeeds needs = chosen_.made->needs({.experts = options_.experts,
                                                   .top_k = options_.rule.top_k,
                                                   .width = options_.dim,
                                                   .score_side = options_.score_side,
                                                   .capacity = capacity(shape),
                                                   .shape = shape});
  checked_product({{"received rows", needs.most_received}}, kMostRows, "rows of experts");
  return needs;
}

/// Decoding drops nothing: a token has come to the end of no sequence whose others it could be counted with.
std::int64_t MoeLayer::capacity(const BatchShape& shape) const {
  return shape.phase == Phase::decode ? 0 : options_.capacity(shape.sequence_length());
}

/// The dispatcher's experts must be among those whose weights this rank has.
void MoeLayer::check_experts() const {
  const std::int64_t first = gate_up_.part_box(0).origin[0], end = first + gate_up_.shape()[0];
  const std::int64_t asked_end = held_.first_expert + held_.local_experts;
  CARAVAN_CHECK(held_.local_experts > 0 && held_.first_expert >= first && asked_end <= end, ConfigError,
                "layer '" + options_.name + "': dispatch " + chosen_.name + " brings rows to experts [" +
                    std::to_string(held_.first_expert) + ", " + std::to_string(asked_end) +
                    ") (this rank has the weights of [" + std::to_string(first) + ", " + std::to_string(end) +
                    "), see parallel.expert). Another model.dispatch, such as auto?");
}

TensorView MoeLayer::of_held_experts(const Parameter& parameter, const TensorView& whole) const {
  const std::int64_t begin = held_.first_expert - parameter.part_box(0).origin[0];
  return whole.rows(begin, begin + held_.local_experts);
}

/// Of even routing, the rows whose experts are on other ranks.
double MoeLayer::sent_bytes(const BatchShape& shape) const {
  const auto all = static_cast<double>(options_.experts), here = static_cast<double>(held_.local_experts);
  const auto numbers = static_cast<double>(routed_shape(shape).rows() * options_.rule.top_k * options_.dim);
  return numbers * static_cast<double>(size_of(shape.compute)) * (1 - here / all);
}

bool MoeLayer::sends_again(const Frame& frame) const {
  return frame.repeats[static_cast<std::size_t>(received_.index)];
}

Routing MoeLayer::routing(const Frame& frame) const {
  return {frame[experts_], frame[weights_],   frame[offsets_],
          frame[row_of_],  frame[choice_of_], options_.score_side};
}

TensorView MoeLayer::received_offsets(const Frame& frame) const {
  return frame[held_.keeps_order ? offsets_ : received_offsets_];
}

Received MoeLayer::received(const Frame& frame) const {
  return {frame[received_], frame[received_weights_], received_offsets(frame), frame[handle_],
          frame[scratch_]};
}

Received MoeLayer::received_gradient(const Frame& frame, TensorView rows) const {
  Received gradient = received(frame);
  gradient.rows = rows;
  gradient.scratch = frame[backward_scratch_];
  return gradient;
}

void MoeLayer::DispatchSegment::forward(Run& run, Frame& frame) {
  if (!run.makes(frame, layer_.received_) || layer_.goes_at_once(run, frame)) return;
  run.pending = layer_.chosen_.made->post_dispatch(run, layer_.routing(frame), layer_.received(frame),
                                                   layer_.routed_rows(run, frame));
}

/// Where the shared expert's gradients are still being summed they are added to later.
void MoeLayer::DispatchSegment::backward_input(Run& run, Frame& frame) {
  const bool apart = layer_.gathers_shared();
  run.pending = layer_.chosen_.made->post_dispatch_gradient(
      run, layer_.routing(frame), layer_.received_gradient(frame, frame[layer_.dreceived_]),
      {.x = layer_.routed_rows(run, frame),
       .dx = apart ? frame[layer_.drouted_] : layer_.routed_gradient(run, frame),
       .accumulate = layer_.shared_.has_value() && !apart,
       .dweights = frame[layer_.dweights_]});
}

void MoeLayer::CombineSegment::forward(Run& run, Frame& frame) {
  if (!run.makes_output(frame) || layer_.goes_at_once(run, frame)) return;
  const TensorView base = layer_.base(run, frame);
  run.pending =
      layer_.chosen_.made->post_combine(run, layer_.routing(frame), layer_.received(frame),
                                        {frame[layer_.expert_out_], base, layer_.combined(run, frame)});
}

void MoeLayer::CombineSegment::backward_input(Run& run, Frame& frame) {
  const bool on_output = layer_.options_.score_side == ScoreSide::output;
  run.pending = layer_.chosen_.made->post_combine_gradient(
      run, layer_.routing(frame), layer_.received_gradient(frame, frame[layer_.dexpert_out_]),
      {.dy = layer_.combined_gradient(run, frame),
       .rows = on_output ? frame[layer_.expert_out_] : TensorView{},
       .dweights = frame[layer_.dweights_]});
}

}  // namespace caravan::moe
