#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/model.hpp"
#include "caravan/plugin.hpp"
#include "plugins/model/llama4/params.hpp"

namespace caravan {
namespace {

std::string text(std::int64_t value) {
  return std::to_string(value);
}

std::int64_t int_or(const Config& config, std::string_view key, std::int64_t otherwise) {
  const Config& node = config.find(key);
  return node.is_null() ? otherwise : node.as_int();
}

/// Llama 4 with all its switches: embedding, [attention, feed-forward or experts] × layers, head.
class Llama4 final : public Model {
 public:
  using Interface = Model;
  static constexpr const char* kName = "llama4";
  static constexpr const char* kSummary = "Llama 4 mixture-of-experts transformer";
  static constexpr auto& kParams = llama4::kParams;

  Llama4(const Host&, const Config& config)
      : config_(config),
        count_(config.get_int("layers")),
        dim_(config.get_int("dim")),
        heads_(config.get_int("heads")),
        head_dim_(int_or(config, "head_dim", dim_ / heads_)) {
    CARAVAN_CHECK(
        !config.find("head_dim").is_null() || dim_ % heads_ == 0, ConfigError,
        "dim=" + text(dim_) + " is no multiple of heads=" + text(heads_) + " (head_dim is then needed)");
    CARAVAN_CHECK(
        chunk_size() == 0 || position_is_rope(), ConfigError,
        "chunk_size=" + text(chunk_size()) + " with sinusoidal positions (chunks belong to rotated layers)");
    layers_.push_back(embedding());
    for (std::int64_t layer = 0; layer < count_; ++layer) {
      const LayerSpec block[] = {attention(layer), has_experts(layer) ? experts(layer) : feed_forward(layer)};
      layers_.insert(layers_.end(), std::begin(block), std::end(block));
      if (!listed("repeat_layers", layer).value_or(false)) continue;
      // The same name means the same weights, so a repeated layer is stored once; its dropout must differ.
      for (LayerSpec again : block) {
        again.config.set("stream", again.name + ".again");
        layers_.push_back(std::move(again));
      }
    }
    layers_.push_back(head());
  }

  const std::vector<LayerSpec>& layers() const override { return layers_; }
  std::int64_t vocab_size() const override { return config_.get_int("vocab_size"); }
  std::int64_t dim() const override { return dim_; }
  std::int64_t chunk_size() const override { return config_.get_int("chunk_size"); }

 private:
  bool position_is_rope() const { return config_.get_string("position") == "rope"; }

  /// A layer list when given (checked against the number of layers), otherwise nothing.
  std::optional<bool> listed(std::string_view key, std::int64_t layer) const {
    const Config& node = config_.find(key);
    if (node.is_null()) return std::nullopt;
    const std::vector<std::int64_t> list = node.as_int_list();
    for (std::int64_t entry : list) {
      CARAVAN_CHECK(entry >= 0 && entry < count_, ConfigError,
                    node.where() + ": " + std::string(key) + " names layer " + text(entry) +
                        " (layers are 0.." + text(count_ - 1) + ")");
    }
    return std::find(list.begin(), list.end(), layer) != list.end();
  }

  bool is_nope(std::int64_t layer) const {
    if (const auto in_list = listed("nope_layers", layer)) return *in_list;
    const std::int64_t interval = config_.get_int("nope_interval");
    return interval > 0 && layer % interval == config_.get_int("nope_offset");
  }

  bool has_experts(std::int64_t layer) const {
    if (config_.get_int("experts") == 0) return false;
    if (const auto in_list = listed("moe_layers", layer)) return *in_list;
    return (layer + 1) % config_.get_int("moe_step") == 0;
  }

  std::int64_t moe_count() const {
    std::int64_t count = 0;
    for (std::int64_t layer = 0; layer < count_; ++layer) count += has_experts(layer);
    return count;
  }

  /// Source: torchtitan's llama4: int(2·4·dim/3), × multiplier, ÷ (top_k + shared) for experts, rounded up.
  std::int64_t width_by_rule(std::int64_t divisor) const {
    auto width = static_cast<std::int64_t>(8.0 * static_cast<double>(dim_) / 3.0);
    width = static_cast<std::int64_t>(config_.get_float("width_multiplier") * static_cast<double>(width));
    width = static_cast<std::int64_t>(static_cast<double>(width) / static_cast<double>(divisor));
    const std::int64_t multiple = config_.get_int("width_multiple_of");
    return (width + multiple - 1) / multiple * multiple;
  }
  std::int64_t dense_width() const { return int_or(config_, "dense_width", width_by_rule(1)); }
  std::int64_t expert_width() const {
    const std::int64_t divisor = config_.get_int("top_k") + config_.get_int("shared_experts");
    return int_or(config_, "expert_width", width_by_rule(std::max<std::int64_t>(divisor, 1)));
  }

  bool by_depth() const { return config_.get_string("init") == "depth"; }
  double out_std(std::int64_t layer) const {
    const double std = config_.get_float("init_std");
    return by_depth() ? std / std::sqrt(2.0 * static_cast<double>(layer + 1)) : std;
  }
  double embedding_std() const {
    const Config& node = config_.find("embedding_init_std");
    if (!node.is_null()) return node.as_float();
    return by_depth() ? 1.0 : config_.get_float("init_std");
  }

  Config base(std::int64_t layer) const {
    Config config = Config::map();
    if (layer >= 0) config.set("name", "layers." + text(layer));
    config.set("dim", text(dim_));
    for (const char* key : {"norm_eps", "dropout", "init_std"}) copy(config, key, key);
    if (layer >= 0) config.set("out_init_std", number(out_std(layer)));
    return config;
  }
  static std::string number(double value) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%.17g", value);
    return buffer;
  }
  void copy(Config& to, std::string_view key, std::string_view from) const {
    to.set(key, config_.find(from));
  }

  LayerSpec embedding() const {
    Config config = Config::map();
    config.set("name", "tok_embeddings");
    config.set("dim", text(dim_));
    for (const char* key : {"vocab_size", "positions", "dropout"}) copy(config, key, key);
    config.set("sinusoidal", position_is_rope() ? "false" : "true");
    config.set("init_std", number(embedding_std()));
    return {"embedding", "tok_embeddings", config};
  }

  LayerSpec attention(std::int64_t layer) const {
    const bool rotated = position_is_rope() && !is_nope(layer);
    Config config = base(layer);
    config.set("heads", text(heads_));
    config.set("kv_heads", text(int_or(config_, "kv_heads", heads_)));
    config.set("head_dim", text(head_dim_));
    for (const char* key : {"positions", "rope_theta", "attention_dropout"}) copy(config, key, key);
    config.set("rope", rotated ? "true" : "false");
    if (rotated) {
      for (const char* key : {"rope_scaling", "qk_norm"}) copy(config, key, key);
    } else {
      copy(config, "temperature", "temperature");
    }
    if (listed("chunk_layers", layer).value_or(rotated)) copy(config, "chunk_size", "chunk_size");
    return {"attention", "layers." + text(layer), config};
  }

  LayerSpec feed_forward(std::int64_t layer) const {
    Config config = base(layer);
    config.set("hidden", text(dense_width()));
    const bool gated = config_.get_string("dense") == "swiglu";
    return {gated ? "feed_forward" : "gelu_feed_forward", "layers." + text(layer), config};
  }

  LayerSpec experts(std::int64_t layer) const {
    Config config = base(layer);
    for (const char* key :
         {"experts", "top_k", "score", "score_on", "normalise", "score_scale", "groups", "limited_groups",
          "load_balance_rate", "load_balance_centre", "bias_in_score", "noisy", "dispatch"}) {
      copy(config, key, key);
    }
    config.set("hidden", text(expert_width()));
    config.set("shared_hidden", text(expert_width() * config_.get_int("shared_experts")));
    config.set("balance_loss", number(config_.get_float("balance_loss") / static_cast<double>(moe_count())));
    return {"moe", "layers." + text(layer), config};
  }

  LayerSpec head() const {
    Config config = Config::map();
    config.set("name", "output");
    config.set("dim", text(dim_));
    for (const char* key : {"vocab_size", "norm_eps"}) copy(config, key, key);
    copy(config, "tied", "tied_head");
    copy(config, "bias", "head_bias");
    const double std = by_depth() ? 1 / std::sqrt(static_cast<double>(dim_)) : config_.get_float("init_std");
    config.set("init_std", number(std));
    config.set("embedding_init_std", number(embedding_std()));
    return {"head", "output", config};
  }

  Config config_;
  std::int64_t count_, dim_, heads_, head_dim_;
  std::vector<LayerSpec> layers_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("model-llama4", CARAVAN_VERSION, "Apache-2.0", "Llama 4",
               caravan::component<caravan::Llama4>());
