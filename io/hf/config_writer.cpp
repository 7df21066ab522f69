#include "io/hf/config_writer.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/strict_json.hpp"
#include "io/hf/only_value.hpp"
#include "io/hf/released_experts.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

std::string_view torch_name(DType dtype) {
  return dtype == DType::bf16 ? "bfloat16" : dtype == DType::f16 ? "float16" : "float32";
}

/// Whole numbers as such: classes of transformers check types.
json whole_if_possible(double value) {
  const bool is_whole = std::abs(value) < 1e15 && value == std::floor(value);
  return is_whole ? json(static_cast<std::int64_t>(value)) : json(value);
}

class Writer {
 public:
  Writer(const Config& model, const HfConfigFacts& facts)
      : model_(model), facts_(facts), layers_(model.get_int("layers")) {}

  json text() const {
    check_expressible();
    json object{{"architectures", {"Llama4ForCausalLM"}},
                {"model_type", "llama4_text"},
                {"hidden_act", "silu"},
                {"attention_bias", false},
                {"use_cache", true},
                {"output_router_logits", false},
                {"router_jitter_noise", 0.0},
                {"router_aux_loss_coef", 0.001},
                {"dtype", torch_name(facts_.dtype)}};
    add_sizes(object);
    add_attention(object);
    add_experts(object);
    return object;
  }

 private:
  bool has_experts() const { return model_.get_int("experts") > 0; }
  /// Layer plugins in place of the feed-forward.
  bool has_layers_of_its_own() const {
    const Config& dense = model_.find("dense");
    if (dense.is_null()) return false;
    return dense.kind() == Config::Kind::map || (dense.text() != "swiglu" && dense.text() != "gelu");
  }
  bool is_set(std::string_view key) const { return !model_.find(key).is_null(); }

  /// Every key with its reason in one message.
  void check_expressible() const {
    std::vector<std::string> problems;
    const auto need = [&](const char* key, const char* value) { need_value(model_, key, value, problems); };
    const auto need_none = [&](const char* key) {
      const Config& given = model_.find(key);
      if (!given.is_null() && !(given.kind() == Config::Kind::list && given.items().empty()))
        problems.push_back(fmt::format("{} (no key for it)", key));
    };
    for (const auto& [key, value] : {std::pair("position", "rope"), {"head_bias", "false"}}) need(key, value);
    need_none("repeat_layers");
    if (facts_.dense_width > 0 || has_layers_of_its_own()) need("dense", "swiglu");
    if (has_experts()) check_experts(need, need_none, problems);
    CARAVAN_CHECK(
        problems.empty(), IoError,
        fmt::format("Hugging Face's Llama 4 cannot express model.{}. Another format, hdf5 or safetensors?",
                    fmt::join(problems, ", model.")));
  }

  template <class Need, class NeedNone>
  void check_experts(const Need& need, const NeedNone& need_none, std::vector<std::string>& problems) const {
    for (const auto& [key, value] : kReleasedExperts) need(key, value);
    if (model_.get_float("score_scale") != 1) problems.push_back("score_scale (only 1)");
    need_none("capacity_factor");
  }

  template <class Is>
  std::vector<std::int64_t> layers_where(const Is& is) const {
    std::vector<std::int64_t> layers;
    for (std::int64_t layer = 0; layer < layers_; ++layer)
      if (is(layer)) layers.push_back(layer);
    return layers;
  }

  /// The layers of a list, or those that a rule picks where there is none.
  template <class Is>
  std::vector<std::int64_t> listed_or(const char* key, const Is& is) const {
    return is_set(key) ? model_.at(key).as_int_list() : layers_where(is);
  }

  std::vector<std::int64_t> without_rope() const {
    const std::int64_t interval = model_.get_int("nope_interval"), offset = model_.get_int("nope_offset");
    return listed_or("nope_layers",
                     [&](std::int64_t layer) { return interval > 0 && layer % interval == offset; });
  }

  static bool names(const std::vector<std::int64_t>& layers, std::int64_t layer) {
    return std::find(layers.begin(), layers.end(), layer) != layers.end();
  }

  void add_sizes(json& object) const {
    const std::int64_t heads = model_.get_int("heads"), dim = model_.get_int("dim");
    object["vocab_size"] = model_.get_int("vocab_size");
    object["hidden_size"] = dim;
    object["num_hidden_layers"] = layers_;
    object["num_attention_heads"] = heads;
    object["num_key_value_heads"] = is_set("kv_heads") ? model_.get_int("kv_heads") : heads;
    object["head_dim"] = is_set("head_dim") ? model_.get_int("head_dim") : dim / heads;
    object["rms_norm_eps"] = model_.get_float("norm_eps");
    object["max_position_embeddings"] = facts_.positions;
    object["initializer_range"] = model_.get_float("init_std");
    object["tie_word_embeddings"] = model_.get_bool("tied_head");
  }

  json rope() const {
    const Config& scaling = model_.find("rope_scaling");
    json rope{{"rope_theta", model_.get_float("rope_theta")}, {"rope_type", "default"}};
    if (scaling.is_null()) return rope;
    rope["rope_type"] = "llama3";
    rope["factor"] = scaling.get_float("factor");
    rope["low_freq_factor"] = scaling.get_float("low");
    rope["high_freq_factor"] = scaling.get_float("high");
    rope["original_max_position_embeddings"] = whole_if_possible(scaling.get_float("original"));
    return rope;
  }

  void add_attention(json& object) const {
    const auto unrotated = without_rope();
    const std::int64_t chunk = model_.get_int("chunk_size");
    const auto chunked = listed_or("chunk_layers", [&](std::int64_t l) { return !names(unrotated, l); });
    json marks = json::array(), types = json::array();
    for (std::int64_t layer = 0; layer < layers_; ++layer) {
      marks.push_back(names(unrotated, layer) ? 0 : 1);
      types.push_back(chunk > 0 && names(chunked, layer) ? "chunked_attention" : "full_attention");
    }
    object["no_rope_layers"] = marks;
    object["layer_types"] = types;
    // Transformers makes the mask of chunks whether or not a layer uses it, and cannot without a number.
    object["attention_chunk_size"] = chunk > 0 ? chunk : std::max<std::int64_t>(facts_.positions, 1);
    object["rope_parameters"] = rope();
    object["use_qk_norm"] = model_.get_bool("qk_norm");
    object["attention_dropout"] = model_.get_float("attention_dropout");
    const Config& temperature = model_.find("temperature");
    object["attn_temperature_tuning"] = !temperature.is_null();
    if (temperature.is_null()) return;
    object["attn_scale"] = temperature.get_float("scale");
    object["floor_scale"] = whole_if_possible(temperature.get_float("floor"));
  }

  void add_experts(json& object) const {
    const std::int64_t step = model_.get_int("moe_step");
    const auto with_experts =
        has_experts() ? listed_or("moe_layers", [&](std::int64_t l) { return (l + 1) % step == 0; })
                      : std::vector<std::int64_t>{};
    object["moe_layers"] = with_experts;
    object["num_local_experts"] = has_experts() ? model_.get_int("experts") : 1;
    object["num_experts_per_tok"] = has_experts() ? model_.get_int("top_k") : 1;
    // A width that no layer has must be there all the same.
    const std::int64_t dense = facts_.dense_width, expert = facts_.expert_width;
    object["intermediate_size"] = expert > 0 ? expert : dense;
    object["intermediate_size_mlp"] = dense > 0 ? dense : expert;
  }

  const Config& model_;
  const HfConfigFacts& facts_;
  std::int64_t layers_;
};

void add_ids(json& object, const HfConfigFacts& facts) {
  object["bos_token_id"] = facts.bos ? json(*facts.bos) : json(nullptr);
  object["pad_token_id"] = facts.pad ? json(*facts.pad) : json(nullptr);
  object["eos_token_id"] = nullptr;
  if (facts.eos.size() == 1) object["eos_token_id"] = facts.eos.front();
  if (facts.eos.size() > 1) object["eos_token_id"] = facts.eos;
}

/// Where the format wrote it until transformers 4.56, and since.
void set_dtype(json& object, std::string_view name) {
  const bool is_older = object.contains("torch_dtype") && !object.contains("dtype");
  object[is_older ? "torch_dtype" : "dtype"] = name;
}

}  // namespace

std::string hf_config_text(const Config& model, const HfConfigFacts& facts) {
  json object = Writer(model, facts).text();
  add_ids(object, facts);
  return object.dump(2) + "\n";
}

std::string hf_generation_text(const HfConfigFacts& facts) {
  json object{{"_from_model_config", true}};
  add_ids(object, facts);
  return object.dump(2) + "\n";
}

std::string with_dtype(const std::string& config_json, DType dtype, const std::string& path, DtypeKey key) {
  json object = parse_json_strict(config_json, path);
  const json before = object;
  const auto set_in = [&](json& part) {
    const bool is_said = part.contains("dtype") || part.contains("torch_dtype");
    if (is_said || key == DtypeKey::added) set_dtype(part, torch_name(dtype));
  };
  set_in(object);
  if (object.contains("text_config")) set_in(object["text_config"]);
  return object == before ? config_json : object.dump(2) + "\n";
}

std::string text_part(const std::string& config_json, const std::string& path) {
  const json outer = parse_json_strict(config_json, path);
  if (!outer.contains("text_config")) return config_json;
  json text = outer["text_config"];
  text["architectures"] = {"Llama4ForCausalLM"};
  text["model_type"] = "llama4_text";
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (outer.contains(key)) text[key] = outer[key];
  for (const char* key : {"tie_word_embeddings", "dtype", "torch_dtype"})
    if (outer.contains(key) && !text.contains(key)) text[key] = outer[key];
  return text.dump(2) + "\n";
}

bool is_multimodal(const std::string& config_json, const std::string& path) {
  return parse_json_strict(config_json, path).contains("text_config");
}

}  // namespace caravan::io
