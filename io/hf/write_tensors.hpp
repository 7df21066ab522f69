#pragma once

#include <optional>
#include <span>
#include <string>

#include "caravan/tensor.hpp"
#include "io/hf/name_map.hpp"
#include "io/safetensors/writer.hpp"

namespace caravan::io {

struct NamedTensor {
  std::string name;  ///< ours
  TensorView view;   ///< f32 in host memory, any strides
};

/// Adds tensors that are shaped as weights (weights, gradients) to `writer`: under Hugging Face's names and
/// in its layout, or without a style under ours. The memory must stay valid until the writer's commit.
/// IoError when half of a fused tensor is missing.
void add_tensors(SafetensorsWriter& writer, std::span<const NamedTensor> tensors,
                 const std::optional<HfStyle>& style);

}  // namespace caravan::io
