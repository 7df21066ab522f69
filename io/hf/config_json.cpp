#include "io/hf/config_json.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"
#include "io/hf/config_values.hpp"
#include "io/hf/json_fields.hpp"
#include "io/hf/layer_kinds.hpp"
#include "io/hf/rope_json.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostConfigBytes = 1'000'000;
constexpr std::int64_t kMostLayers = 10'000;

/// Keys of which the class accepts no null.
constexpr std::array kNeverNull{"vocab_size",
                                "hidden_size",
                                "intermediate_size",
                                "intermediate_size_mlp",
                                "num_hidden_layers",
                                "num_attention_heads",
                                "hidden_act",
                                "rms_norm_eps",
                                "num_experts_per_tok",
                                "num_local_experts",
                                "interleave_moe_layer_step",
                                "use_qk_norm",
                                "attention_bias",
                                "no_rope_layer_interval",
                                "attn_temperature_tuning",
                                "floor_scale",
                                "attn_scale",
                                "tie_word_embeddings",
                                "attention_dropout"};
/// What else of a Llama4TextConfig changes the function.
constexpr std::array kMayBeNull{
    "num_key_value_heads", "head_dim",       "rope_parameters", "rope_theta",
    "moe_layers",          "no_rope_layers", "layer_types",     "attention_chunk_size"};

Config list_of(const std::vector<std::int64_t>& values) {
  Config list = Config::list();
  for (std::int64_t value : values) list.append(number(value));
  return list;
}

std::int64_t at_least(const JsonFields& fields, const char* key, std::int64_t otherwise, std::int64_t least) {
  const std::int64_t value = fields.integer(key, otherwise);
  if (value < least) fields.refuse(key, fmt::format("at least {} is needed", least));
  return value;
}

/// Defaults: Hugging Face's Llama4TextConfig, transformers 5.
class TextConfig {
 public:
  TextConfig(const JsonFields& fields, std::vector<std::string>& warnings)
      : fields_(fields),
        warnings_(warnings),
        layers_(at_least(fields, "num_hidden_layers", 48, 1)),
        experts_(at_least(fields, "num_local_experts", 16, 1)) {
    if (layers_ > kMostLayers)
      fields.refuse("num_hidden_layers", fmt::format("at most {} are read", kMostLayers));
  }

  Config model() {
    check_supported();
    const LayerKinds kinds = read_layer_kinds(fields_, layers_, warnings_);
    Config model = Config::map();
    add_sizes(model);
    add_attention(model, kinds);
    add_experts(model, kinds);
    return model;
  }

 private:
  void check_supported() const {
    for (const char* key : kNeverNull)
      if (fields_.says_null(key))
        fields_.refuse(key, "it has no meaning without a value. Leave it out for the default?");
    const std::string activation = fields_.text("hidden_act", "silu");
    CARAVAN_CHECK(activation == "silu", IoError,
                  fmt::format("{}: hidden_act is '{}' (only silu)", fields_.path(), activation));
    if (fields_.flag("attention_bias", false))
      fields_.refuse("attention_bias", "the projections here have no bias");
    if (fields_.has("quantization_config"))
      fields_.refuse("quantization_config", "only unquantised weights are read");
  }

  void add_sizes(Config& model) const {
    const std::int64_t dim = at_least(fields_, "hidden_size", 5120, 1),
                       heads = at_least(fields_, "num_attention_heads", 40, 1),
                       kv_heads = at_least(fields_, "num_key_value_heads",
                                           null_or("num_key_value_heads", heads, 8), 1);
    if (heads % kv_heads != 0)
      fields_.refuse("num_key_value_heads",
                     fmt::format("{} query heads are no multiple of {} heads of keys", heads, kv_heads));
    model.set("vocab_size", number(at_least(fields_, "vocab_size", 202048, 1)));
    model.set("dim", number(dim));
    model.set("layers", number(layers_));
    model.set("heads", number(heads));
    model.set("kv_heads", number(kv_heads));
    const std::int64_t head_dim = at_least(fields_, "head_dim", null_or("head_dim", dim / heads, 128), 2);
    if (head_dim % 2 != 0) fields_.refuse("head_dim", "rotation pairs neighbours, so it must be even");
    model.set("head_dim", number(head_dim));
    model.set("norm_eps", number(fields_.positive("rms_norm_eps", 1e-5)));
  }

  /// The class gives an explicit null another meaning than an absent key.
  std::int64_t null_or(const char* key, std::int64_t when_null, std::int64_t when_absent) const {
    return fields_.says_null(key) ? when_null : when_absent;
  }

  void add_attention(Config& model, const LayerKinds& kinds) {
    add_rope(fields_, model, warnings_);
    model.set("nope_layers", list_of(kinds.without_rope));
    model.set("chunk_size", number(kinds.chunk_size));
    if (!kinds.chunks_follow_rope) model.set("chunk_layers", list_of(kinds.chunked));
    model.set("qk_norm", flag(fields_.flag("use_qk_norm", true)));
    model.set("temperature", temperature());
  }

  Config temperature() const {
    if (!fields_.flag("attn_temperature_tuning", true)) return Config();
    Config temperature = Config::map();
    temperature.set("scale", number(fields_.number("attn_scale", 0.1)));
    temperature.set("floor", number(fields_.positive("floor_scale", 8192)));
    return temperature;
  }

  void add_experts(Config& model, const LayerKinds& kinds) const {
    const std::int64_t top_k = at_least(fields_, "num_experts_per_tok", 1, 1);
    if (top_k > experts_)
      fields_.refuse("num_experts_per_tok", fmt::format("there are {} experts", experts_));
    model.set("moe_layers", list_of(kinds.experts));
    model.set("experts", number(experts_));
    model.set("top_k", number(top_k));
    model.set("dense_width", number(at_least(fields_, "intermediate_size_mlp", 16384, 1)));
    model.set("expert_width", number(at_least(fields_, "intermediate_size", 8192, 1)));
    model.set("shared_experts", number(std::int64_t{1}));
    // Hugging Face picks by logit and takes the sigmoid after: with an increasing function the same choice.
    model.set("score", "sigmoid");
    model.set("score_on", "input");
    model.set("normalise", flag(false));
    model.set("score_scale", number(1.0));
    model.set("tied_head", flag(fields_.flag("tie_word_embeddings", false)));
    model.set("load_balance_rate", number(0.0));
  }

  const JsonFields& fields_;
  std::vector<std::string>& warnings_;
  std::int64_t layers_;
  std::int64_t experts_;
};

void read_ids(const JsonFields& fields, HfConfig& config) {
  if (fields.has("eos_token_id")) config.eos = fields.ids("eos_token_id");
  if (fields.has("bos_token_id")) config.bos = fields.integer("bos_token_id", 0);
  if (fields.has("pad_token_id")) config.pad = fields.integer("pad_token_id", 0);
}

void note_dropout(const JsonFields& text, HfConfig& config) {
  if (text.number("attention_dropout", 0) == 0) return;
  config.notes.push_back(fmt::format("attention_dropout {} of {} is not taken over",
                                     text.number("attention_dropout"), text.path()));
}

/// Only evaluations ask for it, so what is no such number says nothing.
std::int64_t positions_of(const JsonFields& text) {
  constexpr const char* kKey = "max_position_embeddings";
  const bool says_it = text.has(kKey) && text.at(kKey).is_number_integer();
  return says_it ? std::max<std::int64_t>(text.at(kKey).get<std::int64_t>(), 0) : 0;
}

HfConfig from_text(const JsonFields& text) {
  HfConfig config;
  config.model = TextConfig(text, config.warnings).model();
  config.positions = positions_of(text);
  read_ids(text, config);
  note_dropout(text, config);
  return config;
}

/// Keys of the text model that stand outside its text_config have no effect; one that says something else is
/// said.
void warn_about_outer_keys(const JsonFields& outer, const JsonFields& text, HfConfig& config) {
  if (outer.has("rope_scaling")) outer.refuse("rope_scaling", "it belongs into text_config");
  std::vector<std::string_view> ignored;
  const auto look = [&](const char* key) {
    const bool same = text.has(key) && outer.has(key) && text.at(key) == outer.at(key);
    if (outer.has(key) && !same && key != std::string_view("tie_word_embeddings")) ignored.push_back(key);
  };
  std::for_each(kNeverNull.begin(), kNeverNull.end(), look);
  std::for_each(kMayBeNull.begin(), kMayBeNull.end(), look);
  if (!ignored.empty())
    config.warnings.push_back(
        fmt::format("{}: {} outside text_config say something else than inside; text_config "
                    "counts, as in transformers",
                    outer.path(), fmt::join(ignored, ", ")));
}

HfConfig from_multimodal(const JsonFields& outer) {
  const JsonFields text = outer.inner("text_config");
  if (outer.has("quantization_config"))
    outer.refuse("quantization_config", "only unquantised weights are read");
  HfConfig config = from_text(text);
  read_ids(outer, config);
  warn_about_outer_keys(outer, text, config);
  if (outer.has("tie_word_embeddings") && !text.has("tie_word_embeddings")) {
    config.model.set("tied_head", flag(outer.flag("tie_word_embeddings", false)));
  }
  if (outer.has("vision_config"))
    config.notes.push_back("the vision part of " + outer.path() + " is left out");
  return config;
}

}  // namespace

HfConfig parse_hf_config(const std::string& json, const std::string& path) {
  const auto parsed = parse_json_strict(json, path);
  const JsonFields fields(parsed, path);
  const std::string type = fields.text("model_type", fields.has("text_config") ? "llama4" : "");
  CARAVAN_CHECK(type == "llama4" || type == "llama4_text", IoError,
                fmt::format("{}: model_type is '{}' (llama4 and llama4_text are read)", path, type));
  if (type == "llama4") return from_multimodal(fields);
  if (fields.has("text_config")) fields.refuse("text_config", "model_type llama4_text has none");
  return from_text(fields);
}

void take_generation_ids(const std::string& json, const std::string& path, HfConfig& config) {
  const auto parsed = parse_json_strict(json, path);
  HfConfig said;
  read_ids(JsonFields(parsed, path), said);
  if (!config.eos.empty() && config.eos != said.eos)
    config.warnings.push_back(
        fmt::format("eos_token_id is [{}] in config.json and [{}] in {}; the second counts, as "
                    "in transformers",
                    fmt::join(config.eos, ", "), fmt::join(said.eos, ", "), path));
  config.eos = said.eos;
  config.bos = said.bos;
  config.pad = said.pad;
}

HfConfig read_hf_config(const std::string& folder) {
  const std::string path = (fs::path(folder) / "config.json").string();
  HfConfig config = parse_hf_config(read_text(path, kMostConfigBytes), path);
  const std::string generation = (fs::path(folder) / "generation_config.json").string();
  if (fs::exists(generation))
    take_generation_ids(read_text(generation, kMostConfigBytes), generation, config);
  return config;
}

}  // namespace caravan::io
