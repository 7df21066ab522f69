#include "io/hf/layer_kinds.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace caravan::io {
namespace {

constexpr std::size_t kMostShown = 8;

/// "3, 5 and 7 more"
std::string shown(const std::vector<std::int64_t>& layers) {
  const std::size_t count = std::min(layers.size(), kMostShown);
  const auto end = layers.begin() + static_cast<std::ptrdiff_t>(count);
  const std::string more = layers.size() > count ? fmt::format(" and {} more", layers.size() - count) : "";
  return fmt::format("{}{}", fmt::join(layers.begin(), end, ", "), more);
}

class Kinds {
 public:
  Kinds(const JsonFields& fields, std::int64_t layers, std::vector<std::string>& warnings)
      : fields_(fields), count_(layers), warnings_(warnings) {}

  LayerKinds read() const {
    LayerKinds kinds;
    kinds.without_rope = without_rope();
    kinds.experts = experts();
    add_chunks(kinds);
    return kinds;
  }

 private:
  template <class Is>
  std::vector<std::int64_t> layers_where(const Is& is) const {
    std::vector<std::int64_t> layers;
    for (std::int64_t layer = 0; layer < count_; ++layer)
      if (is(layer)) layers.push_back(layer);
    return layers;
  }

  std::int64_t step(const char* key, std::int64_t otherwise) const {
    const std::int64_t step = fields_.integer(key, otherwise);
    if (step < 1) fields_.refuse(key, "at least 1 is needed");
    return step;
  }

  void warn_if_ignored(const char* list, const char* rule, bool differ) const {
    if (differ && fields_.has(rule))
      warnings_.push_back(fmt::format("{}: {} and {} name other layers; {} counts, as in transformers",
                                      fields_.path(), list, rule, list));
  }

  /// The released key reads backwards: 1 marks a layer that has RoPE. None and [] both mean the interval.
  std::vector<std::int64_t> without_rope() const {
    const std::int64_t interval = step("no_rope_layer_interval", 4);
    const auto by_interval = layers_where([&](std::int64_t layer) { return (layer + 1) % interval == 0; });
    const auto marks =
        fields_.has("no_rope_layers") ? fields_.integers("no_rope_layers") : std::vector<std::int64_t>{};
    if (marks.empty()) return by_interval;
    const auto entries = static_cast<std::int64_t>(marks.size());
    if (entries < count_ || (entries > count_ && !fields_.has("layer_types")))
      fields_.refuse("no_rope_layers", fmt::format("it has {} entries for {} layers", entries, count_));
    if (entries > count_)
      warnings_.push_back(fmt::format("{}: no_rope_layers has {} entries for {} layers; the first count",
                                      fields_.path(), entries, count_));
    const auto marked =
        layers_where([&](std::int64_t layer) { return marks[static_cast<std::size_t>(layer)] == 0; });
    warn_if_ignored("no_rope_layers", "no_rope_layer_interval", marked != by_interval);
    return marked;
  }

  /// A list may name layers that the model does not have; nothing happens there.
  std::vector<std::int64_t> experts() const {
    const std::int64_t every = step("interleave_moe_layer_step", 1);
    const auto by_step = layers_where([&](std::int64_t layer) { return (layer + 1) % every == 0; });
    if (!fields_.has("moe_layers")) return by_step;
    std::vector<std::int64_t> listed = fields_.integers("moe_layers"), beyond;
    std::sort(listed.begin(), listed.end());
    listed.erase(std::unique(listed.begin(), listed.end()), listed.end());
    const auto is_beyond = [&](std::int64_t layer) { return layer < 0 || layer >= count_; };
    std::copy_if(listed.begin(), listed.end(), std::back_inserter(beyond), is_beyond);
    std::erase_if(listed, is_beyond);
    if (!beyond.empty())
      warnings_.push_back(fmt::format(
          "{}: moe_layers names {}, but num_hidden_layers is {}; without effect, as in transformers",
          fields_.path(), shown(beyond), count_));
    warn_if_ignored("moe_layers", "interleave_moe_layer_step", listed != by_step);
    return listed;
  }

  void add_chunks(LayerKinds& kinds) const {
    const bool none = fields_.says_null("attention_chunk_size");
    const std::int64_t size = none ? 0 : step("attention_chunk_size", 8192);
    const auto rotated = layers_where([&](std::int64_t layer) {
      return !std::binary_search(kinds.without_rope.begin(), kinds.without_rope.end(), layer);
    });
    kinds.chunked = fields_.has("layer_types") ? typed_chunked() : rotated;
    if (none && fields_.has("layer_types") && !kinds.chunked.empty())
      fields_.refuse("attention_chunk_size",
                     fmt::format("layer_types has chunked_attention in {}", shown(kinds.chunked)));
    if (none) kinds.chunked.clear();
    kinds.chunk_size = kinds.chunked.empty() ? 0 : size;
    if (none || kinds.chunked == rotated || (kinds.chunked.empty() && is_longer_than_texts(size))) return;
    kinds.chunks_follow_rope = kinds.chunked.empty();
    warnings_.push_back(
        fmt::format("{}: layer_types gives chunks to the layers [{}], no_rope_layers rotation to [{}]; "
                    "each counts for its own, as in transformers",
                    fields_.path(), shown(kinds.chunked), shown(rotated)));
  }

  /// So a size is written where no layer has chunks: the class cannot do without one.
  bool is_longer_than_texts(std::int64_t size) const {
    return fields_.has("max_position_embeddings") && size >= fields_.integer("max_position_embeddings", 0);
  }

  std::vector<std::int64_t> typed_chunked() const {
    const auto& types = fields_.at("layer_types");
    if (!types.is_array()) fields_.refuse("layer_types", "a list is needed");
    if (static_cast<std::int64_t>(types.size()) != count_)
      fields_.refuse("layer_types", fmt::format("it has {} entries for {} layers", types.size(), count_));
    for (const auto& type : types)
      if (type != "chunked_attention" && type != "full_attention")
        fields_.refuse("layer_types", "every entry must be chunked_attention or full_attention");
    return layers_where(
        [&](std::int64_t layer) { return types[static_cast<std::size_t>(layer)] == "chunked_attention"; });
  }

  const JsonFields& fields_;
  std::int64_t count_;
  std::vector<std::string>& warnings_;
};

}  // namespace

LayerKinds read_layer_kinds(const JsonFields& fields, std::int64_t layers,
                            std::vector<std::string>& warnings) {
  return Kinds(fields, layers, warnings).read();
}

}  // namespace caravan::io
