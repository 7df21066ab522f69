#pragma once

#include <optional>
#include <string>

#include "caravan/parameter.hpp"
#include "io/hf/name_map.hpp"

namespace caravan::jobs {

/// Writes the gradients in `parameters` to a safetensors file: under Hugging Face's names and in its shapes,
/// or without a style under caravan's.
void write_gradients(const std::string& path, Device& device, const ParameterStore& parameters,
                     const std::optional<io::HfStyle>& style);

}  // namespace caravan::jobs
