#include "io/checkpoint/stacked_layers.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kLayers = "layers.";
constexpr std::int64_t kMostLayers = 10'000;

/// The front of `text` up to a character that is no digit; nothing when there is no such number.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || number < 0 || number > kMostLayers) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, char expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(1);
  return true;
}

/// ":48" or ":48:2" behind `first`.
std::vector<std::int64_t> range_from(std::int64_t first, std::string_view& text) {
  const auto end = take_number(text);
  const auto step = end && take(text, ':') ? take_number(text) : std::optional<std::int64_t>(1);
  std::vector<std::int64_t> layers;
  if (!end || !step || *step == 0) return layers;
  for (std::int64_t layer = first; layer < *end; layer += *step) layers.push_back(layer);
  return layers;
}

/// The layers of "0:48." or "0,1,3." and nothing for anything else, such as the number of one layer.
std::vector<std::int64_t> take_layers(std::string_view& text) {
  const auto first = take_number(text);
  if (!first) return {};
  std::vector<std::int64_t> layers;
  if (take(text, ':')) {
    layers = range_from(*first, text);
  } else {
    layers.push_back(*first);
    while (take(text, ',')) {
      const auto next = take_number(text);
      if (!next || *next <= layers.back()) return {};
      layers.push_back(*next);
    }
    if (layers.size() == 1) return {};
  }
  return take(text, '.') && !text.empty() ? layers : std::vector<std::int64_t>{};
}

bool is_regular(std::span<const std::int64_t> layers, std::int64_t step) {
  for (std::size_t i = 1; i < layers.size(); ++i)
    if (layers[i] - layers[i - 1] != step) return false;
  return true;
}

}  // namespace

std::string stacked_name(std::span<const std::int64_t> layers, std::string_view rest) {
  CARAVAN_EXPECT(!layers.empty());
  const std::int64_t step = layers.size() > 1 ? layers[1] - layers[0] : 1, end = layers.back() + 1;
  if (!is_regular(layers, step)) return fmt::format("{}{}.{}", kLayers, fmt::join(layers, ","), rest);
  if (step == 1) return fmt::format("{}{}:{}.{}", kLayers, layers[0], end, rest);
  return fmt::format("{}{}:{}:{}.{}", kLayers, layers[0], end, step, rest);
}

Shape shape_of_layer(const Shape& stack, const StackedLayer& layer) {
  CARAVAN_CHECK(
      stack.rank() > 1 && stack[0] == layer.slots, IoError,
      fmt::format("{} has shape {} (its name says {} layers)", layer.name, to_string(stack), layer.slots));
  Shape shape;
  for (int axis = 1; axis < stack.rank(); ++axis) shape.append(stack[axis]);
  return shape;
}

TensorView as_layer(const TensorView& single) {
  TensorView layer = single;
  layer.shape = Shape{1};
  layer.strides = {};
  for (int axis = 0; axis < single.shape.rank(); ++axis) {
    layer.shape.append(single.extent(axis));
    layer.strides[static_cast<std::size_t>(axis) + 1] = single.stride(axis);
  }
  layer.strides[0] = single.shape.rank() > 0 ? single.stride(0) * single.extent(0) : 1;
  return layer;
}

std::map<std::string, StackedLayer, std::less<>> layers_of_stacks(
    const std::map<std::string, Shape>& tensors) {
  std::map<std::string, StackedLayer, std::less<>> found;
  for (const auto& [name, shape] : tensors) {
    const std::size_t slash = name.rfind('/');
    const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
    std::string_view rest = std::string_view(name).substr(begin);
    if (!rest.starts_with(kLayers)) continue;
    rest.remove_prefix(kLayers.size());
    const auto layers = take_layers(rest);
    if (!layers.empty()) shape_of_layer(shape, {name, 0, static_cast<std::int64_t>(layers.size())});
    for (std::size_t slot = 0; slot < layers.size(); ++slot) {
      const std::string single = fmt::format("{}{}{}.{}", name.substr(0, begin), kLayers, layers[slot], rest);
      const StackedLayer layer{name, static_cast<std::int64_t>(slot),
                               static_cast<std::int64_t>(layers.size())};
      CARAVAN_CHECK(!tensors.contains(single) && found.emplace(single, layer).second, IoError,
                    fmt::format("{} holds {}, which stands elsewhere too", name, single));
    }
  }
  return found;
}

}  // namespace caravan::io
