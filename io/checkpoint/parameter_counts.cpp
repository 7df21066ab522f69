#include "io/checkpoint/parameter_counts.hpp"

#include <array>
#include <utility>

namespace caravan::io {
namespace {

using Rule = std::pair<std::string_view, ParameterKind>;

constexpr std::array<Rule, 7> kInside{{
    {".attention_norm.", ParameterKind::norm},
    {".ffn_norm.", ParameterKind::norm},
    {".attention.", ParameterKind::attention},
    {".feed_forward.", ParameterKind::dense},
    {".moe.router.", ParameterKind::router},
    {".moe.shared_experts.", ParameterKind::shared_expert},
    {".moe.experts.", ParameterKind::expert},
}};

constexpr std::array<Rule, 3> kOutside{{
    {"tok_embeddings.", ParameterKind::embedding},
    {"output.", ParameterKind::head},
    {"norm.", ParameterKind::norm},
}};

}  // namespace

std::optional<ParameterKind> kind_of_name(std::string_view name) noexcept {
  for (const auto& [start, kind] : kOutside) {
    if (name.starts_with(start)) return kind;
  }
  for (const auto& [part, kind] : kInside) {
    if (name.find(part) != std::string_view::npos) return kind;
  }
  return std::nullopt;
}

void ParameterCounts::add(std::string_view name, std::int64_t count) {
  const auto kind = kind_of_name(name);
  (kind ? counts_[static_cast<int>(*kind)] : other_) += count;
  total_ += count;
}

std::vector<KindCount> ParameterCounts::by_kind() const {
  std::vector<KindCount> list;
  for (int kind = 0; kind < kParameterKinds; ++kind) {
    if (counts_[kind] != 0)
      list.push_back({std::string(name_of(static_cast<ParameterKind>(kind))), counts_[kind]});
  }
  if (other_ != 0) list.push_back({"other", other_});
  return list;
}

}  // namespace caravan::io
