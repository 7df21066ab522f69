#include "io/hf/name_map.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace caravan::io {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;  // Hugging Face, ours

constexpr std::array<Pair, 3> kOutside{{
    {"model.embed_tokens.weight", "tok_embeddings.weight"},
    {"model.norm.weight", "norm.weight"},
    {"lm_head.weight", "output.weight"},
}};

constexpr std::array<Pair, 13> kInLayer{{
    {"input_layernorm.weight", "attention_norm.weight"},
    {"post_attention_layernorm.weight", "ffn_norm.weight"},
    {"self_attn.q_proj.weight", "attention.wq.weight"},
    {"self_attn.k_proj.weight", "attention.wk.weight"},
    {"self_attn.v_proj.weight", "attention.wv.weight"},
    {"self_attn.o_proj.weight", "attention.wo.weight"},
    {"feed_forward.gate_proj.weight", "feed_forward.w1.weight"},
    {"feed_forward.down_proj.weight", "feed_forward.w2.weight"},
    {"feed_forward.up_proj.weight", "feed_forward.w3.weight"},
    {"feed_forward.router.weight", "moe.router.gate.weight"},
    {"feed_forward.shared_expert.gate_proj.weight", "moe.shared_experts.w1.weight"},
    {"feed_forward.shared_expert.down_proj.weight", "moe.shared_experts.w2.weight"},
    {"feed_forward.shared_expert.up_proj.weight", "moe.shared_experts.w3.weight"},
}};

/// One expert's matrix of its own, [out, in]. Fused tensors are [in, out].
constexpr std::array<Pair, 3> kOfOneExpert{{
    {"gate_proj.weight", "moe.experts.w1"},
    {"down_proj.weight", "moe.experts.w2"},
    {"up_proj.weight", "moe.experts.w3"},
}};

constexpr std::string_view kHfLayers = "model.layers.", kOurLayers = "layers.",
                           kHfExperts = "feed_forward.experts.";

/// Takes "17." from the front of `text`; nothing, and `text` unchanged, when there is no such number.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end == text.data() + text.size() || *end != '.' || number < 0)
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
}

template <std::size_t N>
std::optional<std::string_view> ours_for(const std::array<Pair, N>& table, std::string_view hf) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Pair& pair) { return pair.first == hf; });
  return found == table.end() ? std::nullopt : std::optional(found->second);
}

template <std::size_t N>
std::optional<std::string_view> hf_for(const std::array<Pair, N>& table, std::string_view ours) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Pair& pair) { return pair.second == ours; });
  return found == table.end() ? std::nullopt : std::optional(found->first);
}

std::vector<HfPlacement> expert_placements(const std::string& layer, std::string_view rest) {
  if (rest == "gate_up_proj") {
    return {{layer + "moe.experts.w1", HfForm::gate_half, {}},
            {layer + "moe.experts.w3", HfForm::up_half, {}}};
  }
  if (rest == "down_proj") return {{layer + "moe.experts.w2", HfForm::transposed, {}}};
  const auto expert = take_number(rest);
  const auto ours = expert ? ours_for(kOfOneExpert, rest) : std::nullopt;
  if (!ours) return {};
  return {{layer + std::string(*ours), HfForm::same, expert}};
}

HfPiece fused_piece(const std::string& prefix, const std::string& ours, std::string_view leaf,
                    const Shape& shape) {
  CARAVAN_CHECK(shape.rank() == 3, IoError,
                fmt::format("{} has shape {} (three axes are needed)", ours, to_string(shape)));
  const std::string base = prefix + std::string(kHfExperts);
  if (leaf == "moe.experts.w2") {
    return {base + "down_proj", {shape[0], shape[2], shape[1]}, {ours, HfForm::transposed, {}}};
  }
  const HfForm half = leaf == "moe.experts.w1" ? HfForm::gate_half : HfForm::up_half;
  return {base + "gate_up_proj", {shape[0], shape[2], 2 * shape[1]}, {ours, half, {}}};
}

std::vector<HfPiece> separate_pieces(const std::string& prefix, const std::string& ours,
                                     std::string_view leaf, const Shape& shape) {
  CARAVAN_CHECK(shape.rank() == 3, IoError,
                fmt::format("{} has shape {} (three axes are needed)", ours, to_string(shape)));
  std::vector<HfPiece> pieces;
  for (std::int64_t expert = 0; expert < shape[0]; ++expert) {
    const std::string name =
        fmt::format("{}{}{}.{}", prefix, kHfExperts, expert, *hf_for(kOfOneExpert, leaf));
    pieces.push_back({name, {shape[1], shape[2]}, {ours, HfForm::same, expert}});
  }
  return pieces;
}

TensorView exchanged(TensorView view) {
  const int last = view.shape.rank() - 1;
  CARAVAN_CHECK(last >= 1, IoError,
                fmt::format("a tensor of shape {} has no two axes to exchange", to_string(view.shape)));
  const std::int64_t extent = view.extent(last);
  view.shape.set(last, view.extent(last - 1));
  view.shape.set(last - 1, extent);
  std::swap(view.strides[static_cast<std::size_t>(last)], view.strides[static_cast<std::size_t>(last - 1)]);
  return view;
}

}  // namespace

std::vector<HfPlacement> placements_of(std::string_view hf_name) {
  if (const auto ours = ours_for(kOutside, hf_name)) return {{std::string(*ours), HfForm::same, {}}};
  if (!hf_name.starts_with(kHfLayers)) return {};
  std::string_view rest = hf_name.substr(kHfLayers.size());
  const auto number = take_number(rest);
  if (!number) return {};
  const std::string layer = fmt::format("{}{}.", kOurLayers, *number);
  if (const auto ours = ours_for(kInLayer, rest)) return {{layer + std::string(*ours), HfForm::same, {}}};
  if (!rest.starts_with(kHfExperts)) return {};
  return expert_placements(layer, rest.substr(kHfExperts.size()));
}

std::vector<HfPiece> hf_pieces(const std::string& ours, const Shape& shape, const HfStyle& style) {
  if (const auto hf = hf_for(kOutside, ours))
    return {{style.prefix + std::string(*hf), shape, {ours, HfForm::same, {}}}};
  std::string_view leaf = ours;
  if (!leaf.starts_with(kOurLayers)) return {};
  leaf.remove_prefix(kOurLayers.size());
  const auto number = take_number(leaf);
  if (!number) return {};
  const std::string prefix = fmt::format("{}{}{}.", style.prefix, kHfLayers, *number);
  if (const auto hf = hf_for(kInLayer, leaf))
    return {{prefix + std::string(*hf), shape, {ours, HfForm::same, {}}}};
  if (!hf_for(kOfOneExpert, leaf)) return {};
  if (style.experts == HfStyle::Experts::separate) return separate_pieces(prefix, ours, leaf, shape);
  return {fused_piece(prefix, ours, leaf, shape)};
}

std::vector<HfPiece> hf_name_and_layout(const std::string& ours, const Shape& shape, const HfStyle& style) {
  std::vector<HfPiece> pieces = hf_pieces(ours, shape, style);
  CARAVAN_CHECK(!pieces.empty(), IoError,
                fmt::format("{} has no place in Hugging Face's format for Llama 4", ours));
  return pieces;
}

TensorView our_view(const TensorView& whole, const HfPlacement& placement) {
  const int last = whole.shape.rank() - 1;
  if (placement.expert) {
    TensorView stacked = whole;
    stacked.shape = Shape{1, whole.extent(0), whole.extent(1)};
    stacked.strides = {whole.count(), whole.stride(0), whole.stride(1), 0};
    return stacked;
  }
  if (placement.form == HfForm::same) return whole;
  if (placement.form == HfForm::transposed) return exchanged(whole);
  const std::int64_t half = whole.extent(last) / 2;
  const std::int64_t begin = placement.form == HfForm::gate_half ? 0 : half;
  return exchanged(whole.slice(last, begin, begin + half));
}

bool is_of_vision(std::string_view name) {
  return name.starts_with("vision_model.") || name.starts_with("multi_modal_projector.");
}

}  // namespace caravan::io
