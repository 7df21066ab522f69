#pragma once

#include <optional>
#include <string>

#include "io/hf/name_map.hpp"
#include "jobs/forward/whole_gradients.hpp"

namespace caravan::jobs {

/// Writes gradients to a safetensors file: under Hugging Face's names and in its shapes, or without a style
/// under caravan's.
void write_gradients(const std::string& path, const WholeGradients& gradients,
                     const std::optional<io::HfStyle>& style);

}  // namespace caravan::jobs
