#pragma once

#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "io/hf/json_fields.hpp"

namespace caravan::io {

/// Sets the keys rope_theta and rope_scaling of `model` from a Llama4TextConfig. Two keys that disagree give
/// what transformers 5 makes of them, and a sentence in `warnings` that names both. IoError for rotations
/// that the model here cannot express, or that transformers refuses.
void add_rope(const JsonFields& fields, Config& model, std::vector<std::string>& warnings);

}  // namespace caravan::io
