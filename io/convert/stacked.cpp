#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "caravan/check.hpp"
#include "io/checkpoint/stacked_layers.hpp"
#include "io/convert/hf_tensors.hpp"

namespace caravan::io {
namespace {

constexpr std::string_view kLayers = "layers.";

/// "/model/", 17 and "attention.wq.weight" of a tensor of one layer.
struct LayerName {
  std::string prefix, rest;
  std::int64_t layer = 0;
};

std::optional<LayerName> layer_name(const std::string& name) {
  const std::size_t slash = name.rfind('/'), begin = slash == std::string::npos ? 0 : slash + 1;
  std::string_view text = std::string_view(name).substr(begin);
  if (!text.starts_with(kLayers)) return std::nullopt;
  text.remove_prefix(kLayers.size());
  LayerName found{name.substr(0, begin), "", 0};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), found.layer);
  if (problem != std::errc() || end == text.data() + text.size() || *end != '.') return std::nullopt;
  found.rest = std::string(end + 1, text.data() + text.size());
  return found;
}

/// One of a kind of each layer that has it.
using Kind = std::map<std::int64_t, const MadeTensor*>;

Box layer_box(std::int64_t slot, const Shape& shape) {
  Box box{{slot}, Shape{1}};
  for (int axis = 0; axis < shape.rank(); ++axis) box.extents.append(shape[axis]);
  return box;
}

MadeTensor stack_of(const std::string& prefix, const std::string& rest, const Kind& kind) {
  std::vector<std::int64_t> layers;
  for (const auto& [layer, tensor] : kind) layers.push_back(layer);
  const MadeTensor& first = *kind.begin()->second;
  CARAVAN_CHECK(first.shape.rank() < Shape::kMaxRank, IoError,
                fmt::format("{} has {} axes (a stack would have one more). --layout per-layer?", first.name,
                            first.shape.rank()));
  MadeTensor stack{prefix + stacked_name(layers, rest), first.dtype, {}, {}, {}};
  stack.shape = Shape{static_cast<std::int64_t>(layers.size())};
  for (int axis = 0; axis < first.shape.rank(); ++axis) stack.shape.append(first.shape[axis]);
  std::int64_t slot = 0;
  for (const auto& [layer, tensor] : kind) {
    CARAVAN_CHECK(tensor->shape == first.shape && tensor->dtype == first.dtype, IoError,
                  fmt::format("{} and {} are not of one shape and type. --layout per-layer?", first.name,
                              tensor->name));
    for (const MadePart& part : tensor->parts)
      stack.parts.push_back(
          {part.source, part.from, layer_box(slot, part.at.extents), part.transposed, true});
    ++slot;
  }
  stack.stored = stack.shape;
  return stack;
}

}  // namespace

std::vector<MadeTensor> stacked(const std::vector<MadeTensor>& tensors) {
  std::map<std::pair<std::string, std::string>, Kind> kinds;
  for (const MadeTensor& tensor : tensors)
    if (const auto name = layer_name(tensor.name)) kinds[{name->prefix, name->rest}][name->layer] = &tensor;
  std::vector<MadeTensor> all;
  for (const MadeTensor& tensor : tensors) {
    const auto name = layer_name(tensor.name);
    const Kind* kind = name ? &kinds.at({name->prefix, name->rest}) : nullptr;
    if (!kind)
      all.push_back(tensor);
    else if (kind->begin()->first == name->layer)  // where its first layer stood
      all.push_back(stack_of(name->prefix, name->rest, *kind));
  }
  return all;
}

}  // namespace caravan::io
