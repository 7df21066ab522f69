#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::jobs {

/// In what form a model stands on disk: a Hugging Face folder, a checkpoint, one file with torchtitan's
/// names, or a folder of Meta's.
enum class ModelFormat { hf, hdf5, safetensors, meta };

/// "hf", …: what people write for it.
std::string_view word_of(ModelFormat format) noexcept;
/// ConfigError for any other word.
ModelFormat format_of(std::string_view word);
std::vector<std::string> format_words();

/// Of "fp32", "bf16" or "fp16", in which weights are stored; ConfigError for any other word.
DType weight_type_of(std::string_view word);
std::vector<std::string> weight_type_words();

}  // namespace caravan::jobs
