#include "jobs/inspect/selection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"
#include "jobs/inspect/names.hpp"

namespace caravan::jobs {
namespace {

/// One entry between commas.
struct Range {
  std::int64_t begin, end;
  bool is_single;
};

/// A bound as numpy reads it: negative from the end, empty: `otherwise`, cut at the extent.
std::optional<std::int64_t> bound(std::string_view text, std::int64_t extent, std::int64_t otherwise) {
  if (text.empty()) return otherwise;
  const auto value = parse_int(text);
  if (!value) return std::nullopt;
  return std::clamp<std::int64_t>(*value < 0 ? *value + extent : *value, 0, extent);
}

std::optional<Range> parse_range(std::string_view text, std::int64_t extent) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    const auto index = parse_int(text);
    if (!index || *index < -extent || *index >= extent) return std::nullopt;
    const std::int64_t at = *index < 0 ? *index + extent : *index;
    return Range{at, at + 1, true};
  }
  const auto begin = bound(text.substr(0, colon), extent, 0);
  const auto end = bound(text.substr(colon + 1), extent, extent);
  if (!begin || !end) return std::nullopt;
  return Range{*begin, std::max(*begin, *end), false};
}

std::vector<std::string> entries_of(const std::string& selection) {
  std::vector<std::string> entries(1);
  for (const char c : selection) {
    if (c == ',')
      entries.emplace_back();
    else if (c != ' ')
      entries.back() += c;
  }
  return entries;
}

/// Keeps `[`…`]` at the end apart from the name before it.
std::pair<std::string, std::string> split_selection(const std::string& text) {
  const std::size_t open = text.find('[');
  if (open == std::string::npos || !text.ends_with(']')) return {text, ""};
  return {text.substr(0, open), text.substr(open + 1, text.size() - open - 2)};
}

void narrow(Selection& selection, const std::string& entries_text) {
  const std::vector<std::string> entries = entries_of(entries_text);
  const std::vector<std::uint64_t>& extents = selection.tensor->extents;
  CARAVAN_CHECK(entries.size() <= extents.size(), ConfigError,
                fmt::format("[{}] has {} entries ({} has the shape {})", entries_text, entries.size(),
                            printable(selection.tensor->name), shape_text(extents)));
  selection.shown.clear();
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    const std::string entry = axis < entries.size() ? entries[axis] : ":";
    const auto extent = static_cast<std::int64_t>(extents[axis]);
    const auto range = parse_range(entry, extent);
    CARAVAN_CHECK(range, ConfigError,
                  fmt::format("'{}' is no part of axis {} with {} elements (begin:end or an index is)", entry,
                              axis, extent));
    selection.box.origin[axis] = range->begin;
    selection.box.extents.set(static_cast<int>(axis), range->end - range->begin);
    if (!range->is_single) selection.shown.push_back(static_cast<std::uint64_t>(range->end - range->begin));
  }
}

}  // namespace

Selection parse_selection(const std::string& text, const std::vector<TensorEntry>& tensors) {
  const auto [name, entries] = split_selection(text);
  Selection selection;
  selection.tensor = &tensor_named(name, tensors);
  selection.box = whole_of(*selection.tensor);
  selection.shown = selection.tensor->extents;
  if (!entries.empty()) narrow(selection, entries);
  return selection;
}

}  // namespace caravan::jobs
