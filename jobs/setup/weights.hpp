#pragma once

#include <string>

#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// Fills an allocated store from a checkpoint, a run, a Hugging Face folder or a safetensors file with caravan's names.
/// IoError lists what is missing or has another shape. Expert biases that the source does not have stay zero.
void load_weights_from(const std::string& path, ParameterStore& parameters);

}  // namespace caravan::jobs
