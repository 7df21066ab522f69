#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "caravan/model.hpp"
#include "caravan/plugin.hpp"
#include "plugins/model/llama4/params.hpp"

namespace caravan {
namespace {

constexpr std::int64_t kWidest = std::int64_t{1} << 24;

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
        head_dim_(int_or(config, "head_dim", dim_ / heads_)),
        nope_layers_(position_is_rope() ? listed("nope_layers") : std::nullopt),
        moe_layers_(config.get_int("experts") > 0 ? listed("moe_layers") : std::nullopt),
        repeat_layers_(listed("repeat_layers")),
        chunk_layers_(listed("chunk_layers")) {
    CARAVAN_CHECK(
        !config.find("head_dim").is_null() || dim_ % heads_ == 0, ConfigError,
        "dim=" + text(dim_) + " is no multiple of heads=" + text(heads_) + " (head_dim is then needed)");
    CARAVAN_CHECK(
        chunk_size() == 0 || position_is_rope(), ConfigError,
        "chunk_size=" + text(chunk_size()) + " with sinusoidal positions (chunks belong to rotated layers)");
    check_idle_keys();
    check_sizes();
    moe_count_ = count_moe();
    layers_.push_back(embedding());
    for (std::int64_t layer = 0; layer < count_; ++layer) {
      const LayerSpec block[] = {attention(layer), has_experts(layer) ? experts(layer) : feed_forward(layer)};
      layers_.insert(layers_.end(), std::begin(block), std::end(block));
      if (!repeat_layers_ || !repeat_layers_->contains(layer)) continue;
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
  /// Refuses a product of keys that no memory holds under the names of the keys.
  void check_sizes() const {
    const auto check = [&](std::initializer_list<Size> sizes) {
      checked_product(sizes, kMostElements, "elements of one parameter", config_.where());
    };
    check({{"vocab_size", config_.get_int("vocab_size")}, {"dim", dim_}});
    check({{"heads", heads_}, {"head_dim", head_dim_}, {"dim", dim_}});
    check({{"dense_width", dense_width()}, {"dim", dim_}});
    if (config_.get_int("experts") == 0) return;
    check({{"experts", config_.get_int("experts")}, {"expert_width", expert_width()}, {"dim", dim_}});
    checked_product({{"shared_experts", config_.get_int("shared_experts")}, {"expert_width", expert_width()}},
                    kWidest, "wide, as one block", config_.where());
  }

  bool position_is_rope() const { return config_.get_string("position") == "rope"; }

  /// The layers that a key lists, each one checked; nothing where it is not given.
  std::optional<std::set<std::int64_t>> listed(std::string_view key) const {
    const Config& node = config_.find(key);
    if (node.is_null()) return std::nullopt;
    std::set<std::int64_t> layers;
    for (std::int64_t entry : node.as_int_list()) {
      CARAVAN_CHECK(entry >= 0 && entry < count_, ConfigError,
                    node.where() + ": " + std::string(key) + " names layer " + text(entry) +
                        " (layers are 0.." + text(count_ - 1) + ")");
      layers.insert(entry);
    }
    return layers;
  }

  bool is_nope(std::int64_t layer) const {
    if (nope_layers_) return nope_layers_->contains(layer);
    const std::int64_t interval = config_.get_int("nope_interval");
    return interval > 0 && layer % interval == config_.get_int("nope_offset");
  }

  bool has_experts(std::int64_t layer) const {
    if (config_.get_int("experts") == 0) return false;
    if (moe_layers_) return moe_layers_->contains(layer);
    return (layer + 1) % config_.get_int("moe_step") == 0;
  }

  /// Keys that would do nothing beside the others.
  void check_idle_keys() const {
    const auto refuse = [](const std::string& key, const std::string& why) {
      throw ConfigError(key + " has no effect (" + why + "). Leave it out?");
    };
    if (chunk_layers_ && chunk_size() == 0) refuse("chunk_layers", "chunk_size is 0");
    if (config_.get_int("limited_groups") > 0 && config_.get_int("groups") == 0)
      refuse("limited_groups", "groups is 0");
    const std::int64_t offset = config_.get_int("nope_offset"), interval = config_.get_int("nope_interval");
    if (interval > 0 && offset >= interval)
      refuse("nope_offset=" + text(offset), "no layer has it modulo nope_interval=" + text(interval));
    check_idle_keys_of_experts(refuse);
  }
  template <class Refuse>
  void check_idle_keys_of_experts(const Refuse& refuse) const {
    if (count_moe() > 0) return;
    const auto why = "no layer has experts";
    if (config_.get_int("groups") > 0) refuse("groups", why);
    if (config_.get_bool("noisy")) refuse("noisy", why);
    if (config_.get_float("balance_loss") > 0) refuse("balance_loss", why);
    if (!config_.find("capacity_factor").is_null()) refuse("capacity_factor", why);
  }

  std::int64_t count_moe() const {
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
  bool is_tied() const { return config_.get_bool("tied_head"); }
  /// A tied table is a head as well: rows as long as an embedding's would give the token that is read a logit
  /// of sqrt(dim) and more, and the first loss would be far above ln(vocab_size).
  double embedding_std() const {
    const Config& node = config_.find("embedding_init_std");
    if (!node.is_null()) return node.as_float();
    return by_depth() && !is_tied() ? 1.0 : config_.get_float("init_std");
  }
  double head_std() const {
    if (is_tied()) return embedding_std();
    return by_depth() ? 1 / std::sqrt(static_cast<double>(dim_)) : config_.get_float("init_std");
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
    config.set("init_cut", is_tied() ? "3" : "0");  // a head is cut there
    return {"embedding", "tok_embeddings", config};
  }

  LayerSpec attention(std::int64_t layer) const {
    const bool rotated = position_is_rope() && !is_nope(layer);
    Config config = base(layer);
    config.set("heads", text(heads_));
    config.set("kv_heads", text(int_or(config_, "kv_heads", heads_)));
    config.set("head_dim", text(head_dim_));
    for (const char* key : {"positions", "rope_theta", "attention_dropout", "lora"}) copy(config, key, key);
    config.set("rope", rotated ? "true" : "false");
    if (rotated) {
      for (const char* key : {"rope_scaling", "qk_norm"}) copy(config, key, key);
    } else {
      copy(config, "temperature", "temperature");
    }
    if (chunk_layers_ ? chunk_layers_->contains(layer) : rotated) copy(config, "chunk_size", "chunk_size");
    return {"attention", "layers." + text(layer), config};
  }

  LayerSpec feed_forward(std::int64_t layer) const {
    const Config& dense = config_.find("dense");
    const std::string kind = dense.kind() == Config::Kind::map ? "" : dense.as_string();
    if (kind != "swiglu" && kind != "gelu") return own_layer(layer, kind, dense);
    Config config = base(layer);
    config.set("hidden", text(dense_width()));
    if (kind == "swiglu") copy(config, "lora", "lora");
    return {kind == "swiglu" ? "feed_forward" : "gelu_feed_forward", "layers." + text(layer), config};
  }
  /// A layer plugin that the job names in place of a feed-forward. It gets name and dim, and the keys beside
  /// its own name.
  LayerSpec own_layer(std::int64_t layer, const std::string& plugin, const Config& dense) const {
    Config config = plugin.empty() ? dense : Config::map();
    if (plugin.empty() && !config.has("layer"))
      throw ConfigError(dense.where() + ": dense has no layer. {layer: my_layer, key: value}?");
    const std::string name = plugin.empty() ? config.get_string("layer") : plugin;
    config.erase("layer");
    if (name == "embedding" || name == "head")
      throw ConfigError(dense.where() + ": dense=" + name + " (it is an end of the model). A layer between?");
    for (const char* key : {"name", "dim"})
      if (config.has(key))
        throw ConfigError(dense.where() + ": dense." + key + " (the model gives it). Leave it out?");
    if (!config_.find("dense_width").is_null())
      throw ConfigError("dense_width has no effect (dense names a layer of its own). Leave it out?");
    config.set("name", "layers." + text(layer));
    config.set("dim", text(dim_));
    return {name, "layers." + text(layer), config};
  }

  LayerSpec experts(std::int64_t layer) const {
    Config config = base(layer);
    for (const char* key : {"experts", "top_k", "score", "score_on", "normalise", "score_scale", "groups",
                            "limited_groups", "load_balance_rate", "load_balance_centre", "bias_in_score",
                            "noisy", "capacity_factor", "dispatch", "lora"}) {
      copy(config, key, key);
    }
    config.set("hidden", text(expert_width()));
    config.set("shared_hidden", text(expert_width() * config_.get_int("shared_experts")));
    config.set("balance_loss", number(config_.get_float("balance_loss") / static_cast<double>(moe_count_)));
    return {"moe", "layers." + text(layer), config};
  }

  LayerSpec head() const {
    Config config = Config::map();
    config.set("name", "output");
    config.set("dim", text(dim_));
    for (const char* key : {"vocab_size", "norm_eps"}) copy(config, key, key);
    copy(config, "tied", "tied_head");
    copy(config, "bias", "head_bias");
    config.set("init_std", number(head_std()));
    return {"head", "output", config};
  }

  Config config_;
  std::int64_t count_, dim_, heads_, head_dim_;
  std::optional<std::set<std::int64_t>> nope_layers_, moe_layers_, repeat_layers_, chunk_layers_;
  std::int64_t moe_count_ = 0;
  std::vector<LayerSpec> layers_;
};

}  // namespace
}  // namespace caravan

CARAVAN_PLUGIN("model-llama4", CARAVAN_VERSION, "Apache-2.0", "Llama 4",
               caravan::component<caravan::Llama4>());
