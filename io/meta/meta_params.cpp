#include "io/meta/meta_params.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "caravan/check.hpp"
#include "io/files/file.hpp"
#include "io/files/strict_json.hpp"
#include "io/hf/config_values.hpp"
#include "io/hf/json_fields.hpp"
#include "io/meta/meta_keys.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kMostBytes = 1'000'000;
constexpr std::int64_t kMostLayers = 10'000;

/// What is read, and what is without meaning for weights that are there: widths by rule, sizes of caches.
constexpr std::array<std::string_view, 27> kKnown{"dim",
                                                  "n_layers",
                                                  "n_heads",
                                                  "n_kv_heads",
                                                  "head_dim",
                                                  "vocab_size",
                                                  "norm_eps",
                                                  "rope_theta",
                                                  "use_scaled_rope",
                                                  "rope_scaling_factor",
                                                  "rope_high_freq_factor",
                                                  meta::kOriginal,
                                                  "nope_layer_interval",
                                                  "use_qk_norm",
                                                  "attention_chunk_size",
                                                  "attn_temperature_tuning",
                                                  "floor_scale",
                                                  "attn_scale",
                                                  "moe_args",
                                                  "multiple_of",
                                                  "ffn_dim_multiplier",
                                                  "ffn_exp",
                                                  "max_batch_size",
                                                  "max_seq_len",
                                                  "vision_args",
                                                  "quantization_args",
                                                  "lora_args"};

class Params {
 public:
  explicit Params(const JsonFields& fields) : fields_(fields) {}

  MetaParams read() {
    for (const char* key : {"quantization_args", "lora_args"})
      if (fields_.has(key)) fields_.refuse(key, "only unquantised weights without adapters are read");
    add_sizes();
    add_attention();
    add_experts();
    found_.model.set("load_balance_rate", number(0.0));
    return std::move(found_);
  }

 private:
  std::int64_t at_least(const JsonFields& fields, const char* key, std::int64_t otherwise, std::int64_t least,
                        std::int64_t most = std::int64_t{1} << 24) const {
    const std::int64_t value = fields.integer(key, otherwise);
    if (value < least || value > most)
      fields.refuse(key, fmt::format("a number from {} to {} is needed", least, most));
    return value;
  }

  void add_sizes() {
    Config& model = found_.model = Config::map();
    found_.dim = at_least(fields_, "dim", -1, 1);
    found_.heads = at_least(fields_, "n_heads", -1, 1, 65536);
    found_.kv_heads = at_least(fields_, "n_kv_heads", found_.heads, 1, 65536);
    found_.head_dim = at_least(fields_, "head_dim", found_.dim / found_.heads, 2, 65536);
    model.set("dim", number(found_.dim));
    model.set("layers", number(at_least(fields_, "n_layers", -1, 1, kMostLayers)));
    model.set("heads", number(found_.heads));
    model.set("kv_heads", number(found_.kv_heads));
    model.set("head_dim", number(found_.head_dim));
    model.set("norm_eps", number(fields_.positive("norm_eps", 1e-5)));
    const std::int64_t vocab = fields_.integer("vocab_size", -1);
    if (vocab > 0) model.set("vocab_size", number(vocab));
  }

  void add_attention() {
    Config& model = found_.model;
    model.set("rope_theta", number(fields_.positive("rope_theta", 500000)));
    if (fields_.flag("use_scaled_rope", false)) model.set("rope_scaling", scaling());
    const std::int64_t interval = at_least(fields_, "nope_layer_interval", 0, 0);
    model.set("nope_interval", number(interval));
    model.set("nope_offset", number(std::max<std::int64_t>(interval - 1, 0)));
    model.set("qk_norm", flag(fields_.flag("use_qk_norm", false)));
    model.set("chunk_size", number(at_least(fields_, "attention_chunk_size", 0, 0)));
    if (!fields_.flag("attn_temperature_tuning", false)) return;
    Config temperature = Config::map();
    temperature.set("scale", number(fields_.number("attn_scale", 0.1)));
    temperature.set("floor", number(fields_.positive("floor_scale", 8192)));
    model.set("temperature", std::move(temperature));
  }

  Config scaling() const {
    Config scaling = Config::map();
    scaling.set("factor", number(fields_.positive("rope_scaling_factor", meta::kFactor)));
    scaling.set("low", number(1.0));
    scaling.set("high", number(fields_.positive("rope_high_freq_factor", 1)));
    scaling.set("original", number(fields_.positive(meta::kOriginal, meta::kOriginalPositions)));
    return scaling;
  }

  void add_experts() {
    Config& model = found_.model;
    if (!fields_.has("moe_args")) return model.set("experts", number(std::int64_t{0}));
    const JsonFields moe = fields_.inner("moe_args");
    found_.experts = at_least(moe, "num_experts", -1, 1, 65536);
    model.set("experts", number(found_.experts));
    model.set("top_k", number(at_least(moe, "top_k", 1, 1, found_.experts)));
    model.set("moe_step", number(at_least(moe, "interleave_moe_layer_step", 1, 1)));
    model.set("shared_experts", number(std::int64_t{1}));
    model.set("score", "sigmoid");
    model.set("score_on", "input");
  }

  const JsonFields& fields_;
  MetaParams found_;
};

std::vector<std::string> unknown_keys(const nlohmann::json& object) {
  std::vector<std::string> unknown;
  for (const auto& [key, value] : object.items())
    if (std::find(kKnown.begin(), kKnown.end(), key) == kKnown.end()) unknown.push_back(key);
  return unknown;
}

}  // namespace

MetaParams parse_meta_params(const std::string& json, const std::string& path) {
  const nlohmann::json parsed = parse_json_strict(json, path);
  const bool is_nested = parsed.is_object() && parsed.contains("model");
  const nlohmann::json& object = is_nested ? parsed["model"] : parsed;
  const JsonFields fields(object, path);
  MetaParams params = Params(fields).read();
  const auto unknown = unknown_keys(object);
  if (!unknown.empty())
    params.warnings.push_back(fmt::format("{}: {} not read", path, fmt::join(unknown, ", ")));
  return params;
}

MetaParams read_meta_params(const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / "params.json").string();
  return parse_meta_params(read_text(path, kMostBytes), path);
}

}  // namespace caravan::io
