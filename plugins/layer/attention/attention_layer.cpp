#include "plugins/layer/attention/attention_layer.hpp"

#include <cmath>

namespace caravan::attention {
namespace {

Parameter& declare_qkv(ParameterStore& store, const std::string& name, const Options& options) {
  const auto part = [&](const char* which, std::int64_t heads, bool repeats) {
    return ParameterPart{name + ".attention." + which + ".weight",
                         heads * options.head_dim,
                         {.std = options.init_std},
                         options.head_dim,
                         repeats};
  };
  return store.declare({name + ".attention.wqkv",
                        {options.width(), options.dim},
                        ParameterKind::attention,
                        0,
                        {part("wq", options.heads, false), part("wk", options.kv_heads, true),
                         part("wv", options.kv_heads, true)},
                        {{{0, MeshAxis::tp}}}});
}

/// Of a view without rows, which has no columns either, nothing.
TensorView columns_of(TensorView rows, RowRange columns) {
  return rows.empty() ? rows : rows.slice(1, columns.begin, columns.end);
}

}  // namespace

AttentionLayer::AttentionLayer(const Host& host, const Config& config)
    : name_(config.get_string("name")),
      options_(config, host.mesh),
      heads_(options_, host.mesh),
      stream_(random_stream(config)),
      around_(host, {.norm = name_ + ".attention_norm.weight",
                     .width = options_.dim,
                     .norm_eps = options_.norm_eps,
                     .stream = stream_,
                     .dropout_stream = ".attention.dropout",
                     .dropout = options_.dropout}),
      qkv_(declare_qkv(*host.parameters, name_, options_)),
      output_(host.parameters->declare(ParameterSpec::whole(
          name_ + ".attention.wo.weight", {options_.dim, options_.heads * options_.head_dim},
          ParameterKind::attention, {.std = options_.out_std}, {{1, MeshAxis::tp}}))),
      qkv_adapters_(*host.parameters, qkv_, read_low_rank(config.find("lora"))),
      output_adapters_(*host.parameters, output_, read_low_rank(config.find("lora"))),
      context_(host, options_, 2 * heads_.keys * heads_.dim),
      in_(*this, around_.rows(), Segment::Directions::forward, &AttentionLayer::project_in),
      out_(*this, around_.rows(), Segment::Directions::backward, &AttentionLayer::attend_out_backward),
      segment_(*this, "attention",
               {&AttentionLayer::forward, &AttentionLayer::backward_input, &AttentionLayer::backward_weight}),
      project_segment_(
          *this, "qkv",
          {&AttentionLayer::project, &AttentionLayer::project_backward, &AttentionLayer::project_weight}),
      attend_segment_(
          *this, "attention",
          {&AttentionLayer::attend_last, &AttentionLayer::begin_backward, &AttentionLayer::attend_weight}),
      segments_(around_.around(context_.has_ranks() ? context_segments() : std::vector<Segment*>{&segment_},
                               {&in_, &out_})),
      parameters_{&around_.norm_weight(), &qkv_, &output_} {
  qkv_.replaces_gradient().offers_freezing().makes_logits({.are_normed = options_.qk_norm});
  output_.replaces_gradient().offers_freezing();
  qkv_adapters_.append_to(parameters_);
  output_adapters_.append_to(parameters_);
  if (!options_.rope) return;
  const Shape table{options_.positions, options_.head_dim / 2};
  cos_ = &host.parameters->declare_buffer("rope.cos", table, Buffer::Role::constant);
  sin_ = &host.parameters->declare_buffer("rope.sin", table, Buffer::Role::constant);
}

void AttentionLayer::prepare(Device& device, std::int64_t) {
  qkv_adapters_.prepare(device);
  output_adapters_.prepare(device);
  if (!options_.rope || cos_->prepared) return;
  cos_->prepared = true;
  const auto frequencies = rotary_frequencies(options_.head_dim, options_.rope_theta, options_.rope_scaling);
  std::vector<float> cosines, sines;
  for (std::int64_t position = 0; position < options_.positions; ++position) {
    for (double frequency : frequencies) {
      cosines.push_back(static_cast<float>(std::cos(static_cast<double>(position) * frequency)));
      sines.push_back(static_cast<float>(std::sin(static_cast<double>(position) * frequency)));
    }
  }
  device.copy_from_host(Lane::compute, cos_->data.data, cosines.data(), cos_->data.bytes());
  device.copy_from_host(Lane::compute, sin_->data.data, sines.data(), sin_->data.bytes());
  device.synchronize();
}

void AttentionLayer::plan_cache(const BatchShape& shape, StashPlan& plan) {
  const std::int64_t pages = options_.chunk > 0 ? shape.cache.chunk_pages : shape.cache.pages;
  const Shape rows{shape.phase == Phase::decode ? pages : 0, shape.cache.page, heads_.keys, heads_.dim};
  keys_ = plan.add("cache.keys", shape.compute, rows, Lifetime::session);
  values_ = plan.add("cache.values", shape.compute, rows, Lifetime::session);
}

void AttentionLayer::plan(const BatchShape& shape, StashPlan& plan) {
  const std::int64_t tokens = shape.tokens(), attended = heads_.queries * heads_.dim;
  const std::int64_t normed = options_.qk_norm ? tokens : 0;
  around_.plan(shape, plan);
  qkv_entry_ = plan.add("qkv", shape.compute, {tokens, heads_.width()}, Lifetime::input);
  rstd_ = plan.add("qk.rstd", DType::f32, {normed, heads_.queries + heads_.keys}, Lifetime::input, "qkv");
  lse_ = plan.add("attention.lse", DType::f32, {shape.sequences, heads_.queries, shape.length},
                  Lifetime::input, "attention");
  attended_ = plan.add("attention.out", shape.compute, {tokens, attended}, Lifetime::weight, "attention");
  dattended_ = plan.add("attention.out.gradient", shape.compute, {tokens, attended}, Lifetime::backward);
  dqkv_ = plan.add("qkv.gradient", shape.compute, {tokens, heads_.width()}, Lifetime::backward_weight);
  qkv_adapters_.plan(shape, tokens, "qkv", plan);
  output_adapters_.plan(shape, tokens, kOutputSection, plan);
  plan_cache(shape, plan);
  context_.plan(shape, plan, {qkv_entry_, dqkv_, key_columns()});
}

void AttentionLayer::project(Run& run, Frame& frame) {
  around_.begin(run, frame);
  in_.rest(run, frame);
  prepare_heads(run, frame, travelling(run.shape));
}

void AttentionLayer::project_in(Run& run, Frame& frame, RowRange rows) {
  project_heads(run, frame, rows, travelling(run.shape));
}

void AttentionLayer::project_queries(Run& run, Frame& frame) {
  if (!context_.travel(run.shape)) return;
  project_heads(run, frame, {0, run.shape.tokens()}, Part::queries);
  prepare_heads(run, frame, Part::queries);
}

AttentionLayer::PartOfHeads AttentionLayer::part_of(const Run& run, Part part) const {
  const std::int64_t queries = heads_.queries, all = queries + heads_.keys;
  PartOfHeads heads{how(run), {0, heads_.width()}, {0, all}};
  if (part == Part::queries) {
    heads.columns.end = queries * heads_.dim;
    heads.norms.end = queries;
    heads.how.kv_heads = 0;
  } else if (part == Part::keys) {
    heads.columns.begin = queries * heads_.dim;
    heads.norms.begin = queries;
    heads.how.heads = 0;
  }
  return heads;
}

void AttentionLayer::project_heads(Run& run, Frame& frame, RowRange rows, Part part) {
  const bool makes = run.makes(frame, qkv_entry_);
  const RowRange columns = part_of(run, part).columns;
  const TensorView x = rows.of(around_.input(run, frame)),
                   y = columns_of(rows.of(frame[qkv_entry_]), columns);
  if (makes) run.ops.linear_forward({x, columns.of(qkv_.weight), {}, {}, y});
  qkv_adapters_.forward(run, frame, {.rows = rows, .columns = columns}, x, makes ? y : TensorView{});
}

void AttentionLayer::prepare_heads(Run& run, Frame& frame, Part part) {
  if (!run.makes(frame, qkv_entry_)) return;
  if (run.shape.phase == Phase::decode) return prepare_cached(run, frame);
  const PartOfHeads heads = part_of(run, part);
  run.ops.qk_prepare_forward(
      {heads.how, columns_of(frame[qkv_entry_], heads.columns), columns_of(frame[rstd_], heads.norms)});
}

/// Keys come behind queries, and add to what those have put.
void AttentionLayer::differentiate_heads(Run& run, Frame& frame, Part part) {
  const PartOfHeads heads = part_of(run, part);
  const TensorView gradient = columns_of(frame[dqkv_], heads.columns);
  run.ops.qk_prepare_backward({heads.how, columns_of(frame[qkv_entry_], heads.columns),
                               columns_of(frame[rstd_], heads.norms), gradient});
  run.ops.linear_backward_input(
      {gradient, heads.columns.of(qkv_.weight), around_.input_gradient(run, frame), part == Part::keys});
  qkv_adapters_.backward_input(run, frame, {.rows = {0, run.shape.tokens()}, .columns = heads.columns},
                               gradient, around_.input_gradient(run, frame));
}

void AttentionLayer::attend(Run& run, Frame& frame) {
  if (run.shape.phase == Phase::decode)
    attend_cached(run, frame);
  else if (run.makes(frame, attended_))
    attend_to_own(run, frame);
  put_out(run, frame);
}

void AttentionLayer::put_out(Run& run, Frame& frame) {
  const bool makes = run.makes_output(frame);
  const TensorView y = around_.output(run, frame);
  if (makes) run.ops.linear_forward({frame[attended_], output_.weight, {}, around_.residual(run, frame), y});
  output_adapters_.forward(run, frame, {.rows = {0, run.shape.tokens()}}, frame[attended_],
                           makes ? y : TensorView{});
  around_.end(run, frame);
}

void AttentionLayer::begin_backward(Run& run, Frame& frame) {
  around_.begin_backward(run, frame);
  out_.rest(run, frame);
}

void AttentionLayer::attend_out_backward(Run& run, Frame& frame, RowRange rows) {
  const TensorView gradient = rows.of(around_.result_gradient(run, frame));
  run.ops.linear_backward_input({gradient, output_.weight, rows.of(frame[dattended_])});
  output_adapters_.backward_input(run, frame, {.rows = rows}, gradient, rows.of(frame[dattended_]));
}

void AttentionLayer::project_backward(Run& run, Frame& frame) {
  finish_keys(run, frame);
  differentiate_heads(run, frame, travelling(run.shape));
  around_.end_backward(run, frame);
}

void AttentionLayer::attend_weight(Run& run, Frame& frame) {
  const TensorView gradient = around_.result_gradient(run, frame);
  if (output_.is_trained())
    run.ops.linear_backward_weight({frame[attended_], gradient, output_.grad, {}, output_.begin_sum()});
  output_adapters_.backward_weight(run, frame, {}, frame[attended_], gradient);
}

void AttentionLayer::project_weight(Run& run, Frame& frame) {
  if (qkv_.is_trained())
    run.ops.linear_backward_weight(
        {around_.input(run, frame), frame[dqkv_], qkv_.grad, {}, qkv_.begin_sum()});
  qkv_adapters_.backward_weight(run, frame, {}, around_.input(run, frame), frame[dqkv_]);
  around_.end_weight(run, frame);
}

void AttentionLayer::forward(Run& run, Frame& frame) {
  project(run, frame);
  attend(run, frame);
}

void AttentionLayer::backward_input(Run& run, Frame& frame) {
  begin_backward(run, frame);
  differentiate_own(run, frame);
  project_backward(run, frame);
}

void AttentionLayer::backward_weight(Run& run, Frame& frame) {
  attend_weight(run, frame);
  project_weight(run, frame);
}

double AttentionLayer::forward_flops(const BatchShape& shape) const {
  const double tokens = static_cast<double>(shape.tokens()), dim = static_cast<double>(options_.dim);
  const double attended = static_cast<double>(options_.heads * options_.head_dim);
  const double length = static_cast<double>(shape.length);
  double pairs = length * length / 2;
  if (options_.chunk > 0 && options_.chunk < shape.length) {
    const auto whole = static_cast<double>(shape.length / options_.chunk),
               rest = static_cast<double>(shape.length % options_.chunk);
    pairs =
        (whole * static_cast<double>(options_.chunk) * static_cast<double>(options_.chunk) + rest * rest) / 2;
  }
  const double projections = 2 * tokens * dim * (static_cast<double>(options_.width()) + attended);
  return projections + 4 * static_cast<double>(shape.sequences) * pairs * attended;
}

}  // namespace caravan::attention

CARAVAN_PLUGIN("layer-attention", CARAVAN_VERSION, "Apache-2.0", "Causal self-attention of Llama 4",
               caravan::component<caravan::attention::AttentionLayer>());
