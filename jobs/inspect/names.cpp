#include "jobs/inspect/names.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/config.hpp"
#include "jobs/inspect/layout_names.hpp"

namespace caravan::jobs {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The digits at the start, without leading zeros.
std::string_view take_number(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  number.remove_prefix(std::min(number.find_first_not_of('0'), number.size()));
  return number;
}

[[noreturn]] void refuse(const std::string& what, std::string_view near_to,
                         const std::vector<TensorEntry>& tensors) {
  std::vector<std::string> known;
  for (const TensorEntry& tensor : tensors) {
    known.push_back(tensor.name);
    known.emplace_back(leaf_of(tensor.name));
  }
  const std::string nearest = nearest_name(near_to, known);
  throw ConfigError(fmt::format("{}{}", what,
                                nearest.empty() ? " (caravan inspect PATH lists all)"
                                                : fmt::format(". Did you mean {}?", printable(nearest))));
}

}  // namespace

bool natural_less(std::string_view a, std::string_view b) {
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (is_digit(a.front()) && is_digit(b.front())) {
      const std::string_view x = take_number(a), y = take_number(b);
      if (x != y) return x.size() != y.size() ? x.size() < y.size() : x < y;
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // they differ in leading zeros, or not at all
}

std::string_view leaf_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

bool NameFilter::matches(const std::string& path) const {
  const std::string leaf(leaf_of(path));
  return patterns_.empty() ||
         std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
           const std::string& text = pattern.starts_with('/') ? path : leaf;
           return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
         });
}

std::vector<const TensorEntry*> NameFilter::choose(const std::vector<TensorEntry>& tensors) const {
  std::vector<const TensorEntry*> chosen;
  for (const TensorEntry& tensor : tensors) {
    if (matches(tensor.name)) chosen.push_back(&tensor);
  }
  if (chosen.empty() && !patterns_.empty())
    refuse(fmt::format("no tensor matches {}", fmt::join(patterns_, " or ")), patterns_.front(), tensors);
  return chosen;
}

std::vector<const TensorEntry*> choose_of_model(const NameFilter& filter,
                                                const std::vector<TensorEntry>& tensors) {
  std::vector<const TensorEntry*> chosen = filter.choose(tensors);
  const auto is_models = [](const TensorEntry* tensor) { return tensor->name.starts_with(kModelRoot); };
  if (filter.chooses_all() && std::any_of(chosen.begin(), chosen.end(), is_models))
    std::erase_if(chosen, [&](const TensorEntry* tensor) { return !is_models(tensor); });
  return chosen;
}

const TensorEntry& tensor_named(const std::string& name, const std::vector<TensorEntry>& tensors) {
  for (const std::string& path : {name, std::string(kModelRoot) + name, "/" + name}) {
    for (const TensorEntry& tensor : tensors) {
      if (tensor.name == path) return tensor;
    }
  }
  const bool is_value = name.find("state/") != std::string::npos;
  refuse(fmt::format(
             "there is no tensor {}{}", printable(name),
             is_value ? " (numbers and texts under /state are values, which the tree and --json show)" : ""),
         name, tensors);
}

}  // namespace caravan::jobs
