#include "jobs/identity/differences.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "core/base/config_scalar.hpp"

namespace caravan::jobs {
namespace {

constexpr std::size_t kMostShown = 12, kLongestText = 200;

using Leaves = std::vector<std::pair<std::string, Config>>;

bool has_maps(const Config& list) {
  return std::ranges::any_of(list.items(),
                             [](const Config& item) { return item.kind() == Config::Kind::map; });
}

void add_leaves(const Config& node, const std::string& key, Leaves& leaves) {
  for (std::size_t item = 0; has_maps(node) && item < node.items().size(); ++item)
    add_leaves(node.items()[item], fmt::format("{}.{}", key, item), leaves);
  if (has_maps(node)) return;
  if (node.kind() != Config::Kind::map || (node.entries().empty() && !key.empty())) {
    leaves.emplace_back(key, node);
    return;
  }
  for (const auto& [name, value] : node.entries())
    add_leaves(value, key.empty() ? name : key + "." + name, leaves);
}

bool is_nothing(const Config& value) {
  return value.kind() != Config::Kind::scalar && value.entries().empty() && value.items().empty();
}

/// Whole numbers exactly, others as numbers: 1e-3 is 0.001.
bool same_text(const Config& first, const Config& second) {
  if (first.text() == second.text()) return true;
  const bool whole = parse_int(first.text()) && parse_int(second.text());
  if (whole || first.is_quoted() || second.is_quoted()) return false;
  const auto a = parse_float(first.text()), b = parse_float(second.text());
  return a && b && *a == *b;
}

bool is_same(const Config& first, const Config& second) {
  if (is_nothing(first) || is_nothing(second)) return is_nothing(first) && is_nothing(second);
  if (first.kind() != second.kind()) return false;
  if (first.kind() == Config::Kind::scalar) return same_text(first, second);
  const auto same_entry = [](const auto& a, const auto& b) {
    return a.first == b.first && is_same(a.second, b.second);
  };
  return std::ranges::equal(first.items(), second.items(), is_same) &&
         std::ranges::equal(first.entries(), second.entries(), same_entry);
}

std::string text_of(const Config& value) {
  if (is_nothing(value)) return "(none)";
  if (value.kind() == Config::Kind::scalar) return value.text();
  std::string text;
  for (const Config& item : value.items()) text += (text.empty() ? "" : ", ") + text_of(item);
  for (const auto& [key, item] : value.entries())
    text += (text.empty() ? "" : ", ") + key + ": " + text_of(item);
  return "[" + text + "]";
}

std::string shortened(std::string text) {
  if (text.size() <= kLongestText) return text;
  return text.substr(0, kLongestText) + "...";
}

}  // namespace

Leaves leaves_of(const Config& tree) {
  Leaves leaves;
  add_leaves(tree, "", leaves);
  return leaves;
}

std::vector<Difference> differences_of(const Config& first, const Config& second) {
  const Leaves one = leaves_of(first), other = leaves_of(second);
  const std::map<std::string, Config> ones(one.begin(), one.end()), others(other.begin(), other.end());
  std::vector<Difference> found;
  const auto compare = [&](const std::string& key) {
    const auto a = ones.find(key), b = others.find(key);
    const Config mine = a == ones.end() ? Config() : a->second;
    const Config theirs = b == others.end() ? Config() : b->second;
    if (!is_same(mine, theirs)) found.push_back({key, shortened(text_of(mine)), shortened(text_of(theirs))});
  };
  for (const auto& [key, value] : one) compare(key);
  for (const auto& [key, value] : other)
    if (!ones.contains(key)) compare(key);
  return found;
}

std::string changes_text(const std::vector<Difference>& differences) {
  std::string text;
  for (std::size_t i = 0; i < std::min(differences.size(), kMostShown); ++i) {
    const Difference& each = differences[i];
    text += fmt::format("{}{} {} -> {}", i == 0 ? "" : ", ", each.key, each.first, each.second);
  }
  if (differences.size() > kMostShown) text += fmt::format(", and {} more", differences.size() - kMostShown);
  return text;
}

}  // namespace caravan::jobs
