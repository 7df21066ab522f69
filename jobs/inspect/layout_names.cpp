#include "jobs/inspect/layout_names.hpp"

#include <charconv>

namespace caravan::jobs {

std::optional<std::int64_t> layer_of(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  if (!name.starts_with(kLayers)) return std::nullopt;
  name.remove_prefix(kLayers.size());
  std::int64_t layer = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const bool is_layer =
      problem == std::errc() && layer >= 0 && end < name.data() + name.size() && *end == '.';
  return is_layer ? std::optional(layer) : std::nullopt;
}

}  // namespace caravan::jobs
