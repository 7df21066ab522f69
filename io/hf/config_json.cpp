#include "io/hf/config_json.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"
#include "io/hf/json_fields.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMostConfigBytes = 1'000'000;
constexpr std::int64_t kMostLayers = 10'000;

Config number(double value) {
  return Config::scalar(fmt::format("{}", value));
}
Config number(std::int64_t value) {
  return Config::scalar(fmt::format("{}", value));
}
Config flag(bool value) {
  return Config::scalar(value ? "true" : "false");
}

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
  explicit TextConfig(const JsonFields& fields)
      : fields_(fields),
        layers_(at_least(fields, "num_hidden_layers", 48, 1)),
        experts_(at_least(fields, "num_local_experts", 16, 1)) {
    if (layers_ > kMostLayers)
      fields.refuse("num_hidden_layers", fmt::format("at most {} are read", kMostLayers));
  }

  Config model() const {
    check_supported();
    Config model = Config::map();
    add_sizes(model);
    add_attention(model);
    add_experts(model);
    return model;
  }

 private:
  void check_supported() const {
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
                       heads = at_least(fields_, "num_attention_heads", 40, 1);
    model.set("vocab_size", number(at_least(fields_, "vocab_size", 202048, 1)));
    model.set("dim", number(dim));
    model.set("layers", number(layers_));
    model.set("heads", number(heads));
    model.set("kv_heads",
              number(at_least(fields_, "num_key_value_heads", null_or("num_key_value_heads", heads, 8), 1)));
    model.set("head_dim", number(at_least(fields_, "head_dim", null_or("head_dim", dim / heads, 128), 2)));
    model.set("norm_eps", number(fields_.number("rms_norm_eps", 1e-5)));
  }

  /// The class gives an explicit null another meaning than an absent key.
  std::int64_t null_or(const char* key, std::int64_t when_null, std::int64_t when_absent) const {
    return fields_.says_null(key) ? when_null : when_absent;
  }

  void add_attention(Config& model) const {
    const std::int64_t chunk =
        at_least(fields_, "attention_chunk_size", null_or("attention_chunk_size", 0, 8192), 0);
    const auto rotated = rotated_layers();
    check_layer_types(rotated, chunk);
    add_rope(model);
    std::vector<std::int64_t> without;
    for (std::int64_t layer = 0; layer < layers_; ++layer) {
      if (!rotated[static_cast<std::size_t>(layer)]) without.push_back(layer);
    }
    model.set("nope_layers", list_of(without));
    model.set("chunk_size", number(chunk));
    model.set("qk_norm", flag(fields_.flag("use_qk_norm", true)));
    model.set("temperature", temperature());
  }

  /// The released key reads backwards: 1 marks a layer that has RoPE. None and [] both mean the interval.
  std::vector<bool> rotated_layers() const {
    const auto marks =
        fields_.has("no_rope_layers") ? fields_.integers("no_rope_layers") : std::vector<std::int64_t>{};
    if (!marks.empty() && static_cast<std::int64_t>(marks.size()) != layers_) {
      fields_.refuse("no_rope_layers", fmt::format("it has {} entries for {} layers", marks.size(), layers_));
    }
    const std::int64_t interval = at_least(fields_, "no_rope_layer_interval", 4, 1);
    std::vector<bool> rotated;
    for (std::int64_t layer = 0; layer < layers_; ++layer) {
      rotated.push_back(marks.empty() ? (layer + 1) % interval != 0
                                      : marks[static_cast<std::size_t>(layer)] != 0);
    }
    return rotated;
  }

  /// The model here ties chunks to rotation, as every released model does; a file that says otherwise is
  /// refused.
  void check_layer_types(const std::vector<bool>& rotated, std::int64_t chunk) const {
    if (!fields_.has("layer_types") || chunk == 0) return;
    const auto& types = fields_.at("layer_types");
    bool agree = types.is_array() && types.size() == rotated.size();
    for (std::size_t layer = 0; agree && layer < rotated.size(); ++layer) {
      agree = types[layer] == (rotated[layer] ? "chunked_attention" : "full_attention");
    }
    if (!agree)
      fields_.refuse("layer_types",
                     "chunked_attention is needed where a layer has RoPE, full_attention elsewhere");
  }

  void add_rope(Config& model) const {
    const char* key = fields_.has("rope_parameters") ? "rope_parameters" : "rope_scaling";
    const double outer = fields_.number("rope_theta", 500000);
    if (!fields_.has(key)) {
      model.set("rope_theta", number(outer));
      return model.set("rope_scaling", Config());
    }
    const JsonFields rope = fields_.inner(key);
    const double theta = rope.number("rope_theta", outer);
    if (fields_.has("rope_theta") && theta != outer)
      fields_.refuse("rope_theta", fmt::format("{} says {}", key, theta));
    model.set("rope_theta", number(theta));
    model.set("rope_scaling", scaling(rope));
  }

  Config scaling(const JsonFields& rope) const {
    const std::string type = rope.text("rope_type", rope.text("type", "default"));
    if (type == "default") return Config();
    CARAVAN_CHECK(type == "llama3", IoError,
                  fmt::format("{}: rope_type is '{}' (only default and llama3)", rope.path(), type));
    Config scaling = Config::map();
    scaling.set("factor", number(rope.number("factor")));
    scaling.set("low", number(rope.number("low_freq_factor")));
    scaling.set("high", number(rope.number("high_freq_factor")));
    scaling.set("original", number(rope.number("original_max_position_embeddings")));
    return scaling;
  }

  Config temperature() const {
    if (!fields_.flag("attn_temperature_tuning", true)) return Config();
    Config temperature = Config::map();
    temperature.set("scale", number(fields_.number("attn_scale", 0.1)));
    temperature.set("floor", number(fields_.number("floor_scale", 8192)));
    return temperature;
  }

  std::vector<std::int64_t> moe_layers() const {
    if (fields_.has("moe_layers")) {
      const auto listed = fields_.integers("moe_layers");
      const bool inside =
          std::all_of(listed.begin(), listed.end(), [&](std::int64_t l) { return l >= 0 && l < layers_; });
      if (!inside) fields_.refuse("moe_layers", fmt::format("the layers are 0 to {}", layers_ - 1));
      return listed;
    }
    const std::int64_t step = at_least(fields_, "interleave_moe_layer_step", 1, 1);
    std::vector<std::int64_t> layers;
    for (std::int64_t layer = step - 1; layer < layers_; layer += step) layers.push_back(layer);
    return layers;
  }

  void add_experts(Config& model) const {
    const std::int64_t top_k = at_least(fields_, "num_experts_per_tok", 1, 1);
    if (top_k > experts_)
      fields_.refuse("num_experts_per_tok", fmt::format("there are {} experts", experts_));
    model.set("moe_layers", list_of(moe_layers()));
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

HfConfig from_text(const JsonFields& text) {
  HfConfig config;
  config.model = TextConfig(text).model();
  read_ids(text, config);
  note_dropout(text, config);
  return config;
}

HfConfig from_multimodal(const JsonFields& outer) {
  const JsonFields text = outer.inner("text_config");
  if (outer.has("quantization_config"))
    outer.refuse("quantization_config", "only unquantised weights are read");
  HfConfig config = from_text(text);
  read_ids(outer, config);
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
  return fields.has("text_config") ? from_multimodal(fields) : from_text(fields);
}

HfConfig read_hf_config(const std::string& folder) {
  const std::string path = (fs::path(folder) / "config.json").string();
  HfConfig config = parse_hf_config(read_text(path, kMostConfigBytes), path);
  const std::string generation = (fs::path(folder) / "generation_config.json").string();
  if (fs::exists(generation)) {
    const auto parsed = parse_json_strict(read_text(generation, kMostConfigBytes), generation);
    read_ids(JsonFields(parsed, generation), config);
  }
  return config;
}

}  // namespace caravan::io
