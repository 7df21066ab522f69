#include "caravan/layer_blocks.hpp"

namespace caravan {

PreNorm::PreNorm(ParameterStore& store, const std::string& name, std::int64_t width, float eps,
                 TensorRows rows, Lifetime gradient)
    : weight_(store.declare(ParameterSpec::whole(name, {width}, ParameterKind::norm, {Initial::Rule::ones}))
                  .offers_freezing()),
      width_(width),
      eps_(eps),
      rows_(rows),
      gradient_lifetime_(gradient) {}

void PreNorm::plan(const BatchShape& shape, StashPlan& plan) {
  const Shape rows = rows_.memory(shape, width_);
  output_ = plan.add("norm", shape.compute, rows, Lifetime::weight);
  rstd_ = plan.add("norm.rstd", DType::f32, {shape.rows()}, Lifetime::weight, "norm");
  gradient_ = plan.add("norm.gradient", shape.compute, shape.phase == Phase::train ? rows : Shape{0, width_},
                       gradient_lifetime_);
}

TensorView PreNorm::forward(Run& run, Frame& frame) const {
  if (run.makes(frame, output_))
    run.ops.rmsnorm_forward({frame.x, weight_.weight, output(run, frame), frame[rstd_], eps_});
  return output(run, frame);
}

void PreNorm::backward_input(Run& run, Frame& frame, TensorView bypass) const {
  run.ops.rmsnorm_backward_input(
      {frame.x, weight_.weight, frame[rstd_], gradient(run, frame), bypass, frame.dx});
}

void PreNorm::backward_weight(Run& run, Frame& frame) const {
  if (!weight_.is_trained()) return;
  run.ops.rmsnorm_backward_weight({frame.x, frame[rstd_], gradient(run, frame), weight_.grad});
}

std::string random_stream(const Config& config) {
  const Config& stream = config.find("stream");
  return stream.is_null() ? config.get_string("name") : stream.as_string();
}

void OutputDropout::plan(const BatchShape& shape, StashPlan& plan) {
  gradient_ = plan.add("output.gradient", shape.compute, {probability_ > 0 ? shape.rows() : 0, width_},
                       Lifetime::backward_weight);
}

Dropout OutputDropout::mask(const Run& run, TensorView x) const {
  return {x, probability_, run.key(layer_, stream_), run.row_map()};
}

void OutputDropout::finish(Run& run, Frame& frame) const {
  if (!drops(run) || !run.makes_output(frame)) return;
  run.ops.dropout(mask(run, frame.y));
  if (!frame.x.empty()) run.ops.add({frame.x, frame.y});
}

void OutputDropout::merge(Run& run, Frame& frame, TensorView result) const {
  if (!run.makes_output(frame)) return;
  if (result.data != frame.y.data) run.device.copy(Lane::compute, frame.y.data, result.data, frame.y.bytes());
  if (drops(run)) return finish(run, frame);
  run.ops.add({frame.x, frame.y});
}

void OutputDropout::backward_input(Run& run, Frame& frame) const {
  if (probability_ == 0) return;
  run.device.copy(Lane::compute, frame[gradient_].data, frame.dy.data, frame.dy.bytes());
  run.ops.dropout(mask(run, frame[gradient_]));
}

namespace {

void forward_plain_gate_up(Run& run, const Frame& frame, const GateUp& args) {
  const TensorView x = args.rows.of(args.x), pre = args.rows.of(frame[args.pre]),
                   activated = args.rows.of(frame[args.activated]);
  if (!run.makes(frame, args.activated)) {
    if (!run.makes(frame, args.pre)) return;
    if (args.offsets.empty()) return run.ops.linear_forward({x, args.w, {}, {}, pre});
    return run.ops.grouped_linear_forward({x, args.offsets, args.w, pre});
  }
  if (!run.makes(frame, args.pre)) return run.ops.swiglu_forward({pre, activated});
  run.ops.gate_up_forward({x, args.offsets, args.w, pre, activated});
}

}  // namespace

void forward_gate_up(Run& run, const Frame& frame, const GateUp& args, const LowRankProducts& adapters,
                     const LowRankProducts::Where& where) {
  if (adapters.empty()) return forward_plain_gate_up(run, frame, args);
  const TensorView x = args.rows.of(args.x), pre = args.rows.of(frame[args.pre]);
  const bool makes = run.makes(frame, args.pre);
  if (makes && args.offsets.empty()) run.ops.linear_forward({x, args.w, {}, {}, pre});
  if (makes && !args.offsets.empty()) run.ops.grouped_linear_forward({x, args.offsets, args.w, pre});
  adapters.forward(run, frame, where, x, makes ? pre : TensorView{});
  if (run.makes(frame, args.activated)) run.ops.swiglu_forward({pre, args.rows.of(frame[args.activated])});
}

void backward_down(Run& run, const Frame& frame, const DownBackwardInput& args,
                   const LowRankProducts& adapters, const LowRankProducts::Where& where) {
  if (adapters.empty()) return run.ops.down_backward_input(args);
  if (args.offsets.empty())
    run.ops.linear_backward_input({args.dy, args.w, args.dactivated});
  else
    run.ops.grouped_linear_backward_input({args.dy, args.offsets, args.w, args.dactivated});
  adapters.backward_input(run, frame, where, args.dy, args.dactivated);
  run.ops.swiglu_backward({args.pre, args.dactivated, args.dpre});
}

SwigluBlock::SwigluBlock(ParameterStore& store, const std::string& name, ParameterKind kind,
                         const Widths& widths, const std::optional<LowRankRule>& lora)
    : gate_up_(store.declare({name + ".w13",
                              {2 * widths.hidden, widths.dim},
                              kind,
                              0,
                              {{name + ".w1.weight", widths.hidden, {.std = widths.in_std}},
                               {name + ".w3.weight", widths.hidden, {.std = widths.up_std}}},
                              {{{0, MeshAxis::tp}}}})),
      down_(store.declare(ParameterSpec::whole(name + ".w2.weight", {widths.dim, widths.hidden}, kind,
                                               {.std = widths.out_std}, {{1, MeshAxis::tp}}))),
      gate_up_adapters_(store, gate_up_, lora),
      down_adapters_(store, down_, lora),
      dim_(widths.dim),
      hidden_(widths.hidden) {
  gate_up_.replaces_gradient().offers_freezing();
  down_.replaces_gradient().offers_freezing();
}

void SwigluBlock::plan(const BatchShape& shape, StashPlan& plan) {
  const Shape pre{shape.tokens(), gate_up_.shape()[0]}, activated{shape.tokens(), down_.shape()[1]};
  pre_ = plan.add("swiglu.in", shape.compute, pre, Lifetime::input);
  activated_ = plan.add("swiglu.out", shape.compute, activated, Lifetime::weight);
  dactivated_ = plan.add("swiglu.out.gradient", shape.compute, activated, Lifetime::backward);
  dpre_ = plan.add("swiglu.in.gradient", shape.compute, pre, Lifetime::backward_weight);
  gate_up_adapters_.plan(shape, shape.tokens(), "swiglu.in", plan);
  down_adapters_.plan(shape, shape.tokens(), kOutputSection, plan);
}

std::vector<Parameter*> SwigluBlock::parameters() const {
  std::vector<Parameter*> all{&gate_up_, &down_};
  gate_up_adapters_.append_to(all);
  down_adapters_.append_to(all);
  return all;
}

void SwigluBlock::prepare(Device& device) const {
  gate_up_adapters_.prepare(device);
  down_adapters_.prepare(device);
}

void SwigluBlock::forward_in(Run& run, Frame& frame, TensorView x, RowRange rows) const {
  forward_gate_up(run, frame, {x, {}, gate_up_.weight, pre_, activated_, rows}, gate_up_adapters_,
                  {.rows = rows});
}

void SwigluBlock::forward_out(Run& run, Frame& frame, TensorView base, TensorView y) const {
  const bool makes = run.makes_output(frame);
  if (makes) run.ops.linear_forward({frame[activated_], down_.weight, {}, base, y});
  down_adapters_.forward(run, frame, {.rows = {0, run.shape.tokens()}}, frame[activated_],
                         makes ? y : TensorView{});
}

void SwigluBlock::backward_out(Run& run, Frame& frame, TensorView dy, RowRange rows) const {
  backward_down(run, frame,
                {rows.of(dy),
                 {},
                 down_.weight,
                 rows.of(frame[pre_]),
                 rows.of(frame[dactivated_]),
                 rows.of(frame[dpre_])},
                down_adapters_, {.rows = rows});
}

void SwigluBlock::backward_in(Run& run, Frame& frame, TensorView dx) const {
  run.ops.linear_backward_input({frame[dpre_], gate_up_.weight, dx});
  gate_up_adapters_.backward_input(run, frame, {.rows = {0, run.shape.tokens()}}, frame[dpre_], dx);
}

void SwigluBlock::backward_weight(Run& run, Frame& frame, TensorView x, TensorView dy) const {
  if (down_.is_trained())
    run.ops.linear_backward_weight({frame[activated_], dy, down_.grad, {}, down_.begin_sum()});
  if (gate_up_.is_trained())
    run.ops.linear_backward_weight({x, frame[dpre_], gate_up_.grad, {}, gate_up_.begin_sum()});
  down_adapters_.backward_weight(run, frame, {}, frame[activated_], dy);
  gate_up_adapters_.backward_weight(run, frame, {}, x, frame[dpre_]);
}

double SwigluBlock::forward_flops(std::int64_t tokens) const {
  return 6.0 * static_cast<double>(tokens) * static_cast<double>(dim_) * static_cast<double>(hidden_);
}

}  // namespace caravan
