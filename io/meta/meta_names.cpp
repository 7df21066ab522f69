#include "io/meta/meta_names.hpp"

#include <algorithm>
#include <array>

namespace caravan::io {
namespace {

struct Entry {
  std::string_view meta;
  MetaForm form;
  std::array<std::string_view, 3> ours;
};

constexpr std::array kOutside{
    Entry{"tok_embeddings.weight", MetaForm::rows, {"tok_embeddings.weight"}},
    Entry{"output.weight", MetaForm::rows, {"output.weight"}},
    Entry{"norm.weight", MetaForm::whole, {"norm.weight"}},
};

/// Fused spellings, as released, first: they are the ones that are written.
constexpr std::array kInLayer{
    Entry{"attention.wqkv.weight",
          MetaForm::qkv,
          {"attention.wq.weight", "attention.wk.weight", "attention.wv.weight"}},
    Entry{"attention.wo.weight", MetaForm::columns, {"attention.wo.weight"}},
    Entry{"attention.wqkv.layer_norm_weight", MetaForm::whole, {"attention_norm.weight"}},
    Entry{"feed_forward.router_DE", MetaForm::router, {"moe.router.gate.weight"}},
    Entry{"feed_forward.experts.moe_w_in_eD_F", MetaForm::experts_in, {"moe.experts.w1"}},
    Entry{"feed_forward.experts.moe_w_swiglu_eD_F", MetaForm::experts_in, {"moe.experts.w3"}},
    Entry{"feed_forward.experts.moe_w_out_eF_D", MetaForm::experts_out, {"moe.experts.w2"}},
    Entry{"feed_forward.w_in_shared_FD.weight", MetaForm::rows, {"moe.shared_experts.w1.weight"}},
    Entry{"feed_forward.w_swiglu_FD.weight", MetaForm::rows, {"moe.shared_experts.w3.weight"}},
    Entry{"feed_forward.w_out_shared_DF.weight", MetaForm::columns, {"moe.shared_experts.w2.weight"}},
    Entry{"feed_forward.mlp.fc1_weight",
          MetaForm::halves,
          {"feed_forward.w1.weight", "feed_forward.w3.weight"}},
    Entry{"feed_forward.mlp.fc2_weight", MetaForm::columns, {"feed_forward.w2.weight"}},
    Entry{"feed_forward.norm.weight", MetaForm::whole, {"ffn_norm.weight"}},
    Entry{"feed_forward.mlp.layer_norm_weight", MetaForm::whole, {"ffn_norm.weight"}},
    Entry{"attention.wq.weight", MetaForm::rows, {"attention.wq.weight"}},
    Entry{"attention.wk.weight", MetaForm::kv_rows, {"attention.wk.weight"}},
    Entry{"attention.wv.weight", MetaForm::kv_rows, {"attention.wv.weight"}},
    Entry{"attention_norm.weight", MetaForm::whole, {"attention_norm.weight"}},
    Entry{"ffn_norm.weight", MetaForm::whole, {"ffn_norm.weight"}},
    Entry{"feed_forward.w1.weight", MetaForm::rows, {"feed_forward.w1.weight"}},
    Entry{"feed_forward.w2.weight", MetaForm::columns, {"feed_forward.w2.weight"}},
    Entry{"feed_forward.w3.weight", MetaForm::rows, {"feed_forward.w3.weight"}},
};

constexpr std::string_view kLayers = "layers.";

/// "layers.17." and what follows; the first is empty outside of layers.
struct InLayer {
  std::string_view layer, rest;
};

InLayer split(std::string_view name) {
  if (!name.starts_with(kLayers)) return {"", name};
  const std::size_t digits = name.find_first_not_of("0123456789", kLayers.size());
  const std::size_t count = digits == std::string_view::npos ? 0 : digits - kLayers.size();
  const bool is_number =
      count > 0 && count < 8 && name[digits] == '.' && (count == 1 || name[kLayers.size()] != '0');
  if (!is_number) return {"", name};
  return {name.substr(0, digits + 1), name.substr(digits + 1)};
}

template <class Is>
std::optional<MetaTensor> find(std::string_view name, const Is& is) {
  const auto [layer, rest] = split(name);
  const auto look = [&](const auto& table) -> std::optional<MetaTensor> {
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const Entry& entry) { return is(entry, rest); });
    if (found == table.end()) return std::nullopt;
    MetaTensor tensor{std::string(layer) + std::string(found->meta), found->form, {}};
    for (std::string_view ours : found->ours)
      if (!ours.empty()) tensor.ours.push_back(std::string(layer) + std::string(ours));
    return tensor;
  };
  return layer.empty() ? look(kOutside) : look(kInLayer);
}

}  // namespace

std::optional<MetaTensor> meta_tensor(std::string_view name) {
  return find(name, [](const Entry& entry, std::string_view rest) { return entry.meta == rest; });
}

std::optional<MetaTensor> meta_tensor_of(std::string_view ours) {
  return find(ours, [](const Entry& entry, std::string_view rest) {
    return std::find(entry.ours.begin(), entry.ours.end(), rest) != entry.ours.end();
  });
}

bool is_left_out_of_meta(std::string_view name) {
  static constexpr std::array<std::string_view, 5> kEnds{"rope.freqs", "._extra_state",
                                                         ".expert_activation_DE", ".global_gate_stats_3E",
                                                         ".running_gate_stats_3E"};
  return std::any_of(kEnds.begin(), kEnds.end(), [&](auto end) { return name.ends_with(end); });
}

bool is_meta_vision(std::string_view name) {
  return name.starts_with("vision_embeddings.") || name.starts_with("vision_projection.");
}

}  // namespace caravan::io
