#include "plugins/layer/attention/attention_layer.hpp"

#include <cmath>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"

namespace caravan::attention {
namespace {

constexpr caravan_param kScalingParams[] = {
    {"factor", "float", nullptr, "", "> 0", "How much long wavelengths grow."},
    {"low", "float", nullptr, "", "> 0", "Waves in `original` below which a wavelength grows whole."},
    {"high", "float", nullptr, "", "> 0", "Waves in `original` above which it stays."},
    {"original", "float", nullptr, "tokens", "> 0", "The length that the model was made for at first."},
};
constexpr caravan_param kTemperatureParams[] = {
    {"scale", "float", nullptr, "", "", "How much queries grow with the logarithm of their position."},
    {"floor", "float", nullptr, "tokens", "> 0", "Positions that have one temperature."},
};

std::optional<RotaryScaling> read_scaling(const Config& given) {
  if (given.is_null()) return std::nullopt;
  const Config node = validate(given, kScalingParams, "rope_scaling");
  return RotaryScaling{node.get_float("factor"), node.get_float("low"), node.get_float("high"),
                       node.get_float("original")};
}

float number(const Config& config, std::string_view key) {
  return static_cast<float>(config.get_float(key));
}

void check_ranks(const Options& options, const Mesh* mesh) {
  const std::int64_t ranks = mesh ? mesh->degree(MeshAxis::tp) : 1;
  CARAVAN_CHECK(options.heads % ranks == 0, ConfigError,
                "heads=" + std::to_string(options.heads) + " with parallel.tensor=" + std::to_string(ranks) +
                    " (each rank has the same number of heads). A divisor of " +
                    std::to_string(options.heads) + "?");
  CARAVAN_CHECK(options.kv_heads % ranks == 0 || ranks % options.kv_heads == 0, ConfigError,
                "kv_heads=" + std::to_string(options.kv_heads) +
                    " with parallel.tensor=" + std::to_string(ranks) +
                    " (ranks divide the key/value heads, or divide into groups that have one each: one "
                    "number must divide the other). A divisor or a multiple of " +
                    std::to_string(options.kv_heads) + "?");
}

}  // namespace

Options::Options(const Config& config, const Mesh* mesh)
    : dim(config.get_int("dim")),
      heads(config.get_int("heads")),
      kv_heads(config.get_int("kv_heads")),
      head_dim(config.get_int("head_dim")),
      positions(config.get_int("positions")),
      chunk(config.get_int("chunk_size")),
      norm_eps(number(config, "norm_eps")),
      dropout(number(config, "dropout")),
      attention_dropout(number(config, "attention_dropout")),
      init_std(number(config, "init_std")),
      out_std(number(config, "out_init_std")),
      rope(config.get_bool("rope")),
      qk_norm(config.get_bool("qk_norm")),
      rope_theta(config.get_float("rope_theta")),
      rope_scaling(read_scaling(config.find("rope_scaling"))) {
  if (const Config& given = config.find("temperature"); !given.is_null()) {
    const Config temperature = validate(given, kTemperatureParams, "temperature");
    temperature_scale = number(temperature, "scale");
    temperature_floor = number(temperature, "floor");
  }
  CARAVAN_CHECK(heads % kv_heads == 0, ConfigError,
                "heads=" + std::to_string(heads) +
                    " (must be a multiple of kv_heads=" + std::to_string(kv_heads) + ")");
  CARAVAN_CHECK(head_dim % 2 == 0, ConfigError,
                "head_dim=" + std::to_string(head_dim) + " (rotation pairs neighbours, so it must be even)");
  check_ranks(*this, mesh);
}

Heads::Heads(const Options& options, const Mesh* mesh) : dim(options.head_dim) {
  const std::int64_t ranks = mesh ? mesh->degree(MeshAxis::tp) : 1;
  queries = options.heads / ranks;
  keys = std::max<std::int64_t>(options.kv_heads / ranks, 1);
  first = mesh ? queries * mesh->coordinate(MeshAxis::tp) : 0;
}

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
      segment_(*this, "attention",
               {&AttentionLayer::forward, &AttentionLayer::backward_input, &AttentionLayer::backward_weight}),
      segments_(around_.around(segment_)),
      parameters_{&around_.norm_weight(), &qkv_, &output_} {
  qkv_.replaces_gradient();
  output_.replaces_gradient();
  if (!options_.rope) return;
  const Shape table{options_.positions, options_.head_dim / 2};
  cos_ = &host.parameters->declare_buffer("rope.cos", table, Buffer::Role::constant);
  sin_ = &host.parameters->declare_buffer("rope.sin", table, Buffer::Role::constant);
}

void AttentionLayer::prepare(Device& device, std::int64_t) {
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

std::int64_t AttentionLayer::capacity(const BatchShape& shape) const {
  if (shape.phase != Phase::decode) return 0;
  return options_.chunk > 0 ? std::min(options_.chunk, shape.cache_length) : shape.cache_length;
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
  cache_ =
      plan.add("cache", shape.compute, {capacity(shape), 2 * heads_.keys * heads_.dim}, Lifetime::session);
}

/// `count` heads from head `first` on of rows [T, heads·D], seen as [B, S, count, D].
TensorView AttentionLayer::heads_of(const Run& run, TensorView rows, std::int64_t first,
                                    std::int64_t count) const {
  TensorView view = rows.slice(1, first * options_.head_dim, (first + count) * options_.head_dim);
  view.shape = Shape{run.shape.sequences, run.shape.length, count, options_.head_dim};
  view.strides = {run.shape.length * rows.stride(0), rows.stride(0), options_.head_dim, 1};
  return view;
}

QkPrepare AttentionLayer::how(const Run& run) const {
  QkPrepare how;
  if (options_.rope) {
    how.cos = cos_->data;
    how.sin = sin_->data;
  }
  how.heads = heads_.queries;
  how.kv_heads = heads_.keys;
  how.head_dim = options_.head_dim;
  how.tokens = run.token_map;
  how.norm_eps = options_.qk_norm ? options_.norm_eps : 0;
  how.temperature_scale = options_.temperature_scale;
  how.floor_scale = options_.temperature_floor;
  return how;
}

AttentionDropout AttentionLayer::attention_dropout(const Run& run) const {
  if (!run.training() || options_.attention_dropout == 0) return {};
  return {options_.attention_dropout, run.key(stream_, ".attention.probabilities"),
          run.token_map.first_sample, run.token_map.global_length, heads_.first};
}

void AttentionLayer::attend(Run& run, Frame& frame) const {
  const TensorView qkv = frame[qkv_entry_];
  run.ops.attention_forward({queries(run, qkv), keys(run, qkv), values(run, qkv),
                             queries(run, frame[attended_]), frame[lse_],
                             AttentionMask{0, 0, options_.chunk, run.documents}, attention_dropout(run),
                             1 / std::sqrt(static_cast<float>(options_.head_dim))});
}

// Keys and values of a position are neighbours in a row of qkv and stay so in the cache. A chunked layer's
// cache starts anew with each chunk; the caller cuts pieces so that none crosses a chunk.
void AttentionLayer::attend_cached(Run& run, Frame& frame) const {
  const TensorView qkv = frame[qkv_entry_], cache = frame[cache_];
  const std::int64_t chunk = options_.chunk, length = run.shape.length, row = 2 * heads_.keys * heads_.dim;
  const std::int64_t first = run.token_map.first.begin, first_key = chunk > 0 ? first / chunk * chunk : 0;
  const std::int64_t at = first - first_key;
  CARAVAN_CHECK(at + length <= cache.extent(0), Error,
                "a piece of " + std::to_string(length) + " tokens at position " + std::to_string(first) +
                    " (leaves its chunk or the cache of " + std::to_string(cache.extent(0)) + " positions)");
  const TensorView kept = qkv.slice(1, heads_.queries * heads_.dim, heads_.width());
  for (std::int64_t token = 0; token < length; ++token) {
    const TensorView from = kept.rows(token, token + 1);
    run.device.copy(Lane::compute, cache.rows(at + token, at + token + 1).data, from.data, from.bytes());
  }
  TensorView keys(cache.data, cache.dtype, {1, at + length, heads_.keys, heads_.dim});
  keys.strides = {row * keys.extent(1), row, options_.head_dim, 1};
  TensorView values = keys;
  values.data = cache.slice(1, heads_.keys * heads_.dim, row).data;
  run.ops.attention_forward({queries(run, qkv),
                             keys,
                             values,
                             queries(run, frame[attended_]),
                             frame[lse_],
                             AttentionMask{first, first_key, chunk, {}},
                             {},
                             1 / std::sqrt(static_cast<float>(options_.head_dim))});
}

void AttentionLayer::forward(Run& run, Frame& frame) {
  const TensorView normed = around_.begin(run, frame);
  if (run.makes(frame, qkv_entry_)) {
    run.ops.linear_forward({normed, qkv_.weight, {}, {}, frame[qkv_entry_]});
    run.ops.qk_prepare_forward({how(run), frame[qkv_entry_], frame[rstd_]});
  }
  if (run.shape.phase == Phase::decode)
    attend_cached(run, frame);
  else if (run.makes(frame, attended_))
    attend(run, frame);
  if (run.makes_output(frame))
    run.ops.linear_forward(
        {frame[attended_], output_.weight, {}, around_.residual(run, frame), around_.output(run, frame)});
  around_.end(run, frame);
}

void AttentionLayer::backward_input(Run& run, Frame& frame) {
  const TensorView qkv = frame[qkv_entry_], dqkv = frame[dqkv_];
  const TensorView gradient = around_.begin_backward(run, frame);
  run.ops.linear_backward_input({gradient, output_.weight, frame[dattended_]});
  run.ops.attention_backward({queries(run, qkv), keys(run, qkv), values(run, qkv),
                              queries(run, frame[attended_]), frame[lse_], queries(run, frame[dattended_]),
                              queries(run, dqkv), keys(run, dqkv), values(run, dqkv),
                              AttentionMask{0, 0, options_.chunk, run.documents}, attention_dropout(run),
                              1 / std::sqrt(static_cast<float>(options_.head_dim))});
  run.ops.qk_prepare_backward({how(run), qkv, frame[rstd_], dqkv});
  run.ops.linear_backward_input({dqkv, qkv_.weight, around_.input_gradient(run, frame)});
  around_.end_backward(run, frame);
}

void AttentionLayer::backward_weight(Run& run, Frame& frame) {
  run.ops.linear_backward_weight(
      {frame[attended_], around_.result_gradient(run, frame), output_.grad, {}, output_.begin_sum()});
  run.ops.linear_backward_weight({around_.input(run, frame), frame[dqkv_], qkv_.grad, {}, qkv_.begin_sum()});
  around_.end_weight(run, frame);
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
