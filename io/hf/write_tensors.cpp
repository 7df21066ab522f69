#include "io/hf/write_tensors.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "io/files/convert.hpp"

namespace caravan::io {
namespace {

/// One tensor of the file, and what of ours goes into it.
struct Target {
  Shape shape;
  std::vector<std::pair<HfPlacement, TensorView>> parts;
};

std::map<std::string, Target> targets_of(std::span<const NamedTensor> tensors, const HfStyle& style) {
  std::map<std::string, Target> targets;
  for (const NamedTensor& tensor : tensors) {
    for (const HfPiece& piece : hf_name_and_layout(tensor.name, tensor.view.shape, style)) {
      Target& target = targets[piece.name];
      CARAVAN_CHECK(target.parts.empty() || target.shape == piece.shape, IoError,
                    fmt::format("{} and {} do not fit one tensor {}", target.parts.front().first.ours,
                                tensor.name, piece.name));
      target.shape = piece.shape;
      const auto expert = piece.placement.expert;
      target.parts.emplace_back(piece.placement,
                                expert ? tensor.view.rows(*expert, *expert + 1) : tensor.view);
    }
  }
  return targets;
}

void check_filled(const std::string& name, const Target& target) {
  std::int64_t given = 0;
  for (const auto& [placement, view] : target.parts) given += view.count();
  CARAVAN_CHECK(given == target.shape.count(), IoError,
                fmt::format("{} of shape {} cannot be made from {} alone", name, to_string(target.shape),
                            target.parts.front().first.ours));
}

}  // namespace

void add_tensors(SafetensorsWriter& writer, std::span<const NamedTensor> tensors,
                 const std::optional<HfStyle>& style) {
  if (!style) {
    for (const NamedTensor& tensor : tensors) writer.add(tensor.name, tensor.view);
    return;
  }
  for (const auto& [name, target] : targets_of(tensors, *style)) {
    check_filled(name, target);
    writer.add(name, DType::f32, target.shape, [parts = target.parts](const TensorView& whole) {
      for (const auto& [placement, view] : parts) copy_to_f32(view, our_view(whole, placement));
    });
  }
}

}  // namespace caravan::io
