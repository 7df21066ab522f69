#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/tensor.hpp"

namespace caravan::io {

/// What a config.json says besides the model's own keys.
struct HfConfigFacts {
  DType dtype = DType::f32;
  std::int64_t dense_width = 0, expert_width = 0;  ///< 0: no layer has one
  std::int64_t positions = 0;
  std::optional<std::int64_t> bos, pad;
  std::vector<std::int64_t> eos;
};

/// The text of a config.json for `model`: all keys of the model plugin "llama4", defaults filled in. What the
/// format has a key for is written out layer by layer. IoError, naming every key, for what it cannot express.
std::string hf_config_text(const Config& model, const HfConfigFacts& facts);

/// The text of a generation_config.json with these tokens.
std::string hf_generation_text(const HfConfigFacts& facts);

/// What becomes of a configuration that says no type.
enum class DtypeKey { added, corrected };  ///< `corrected`: only where one is said
/// A folder's config.json with the type of its weights; as it is when it says that already.
std::string with_dtype(const std::string& config_json, DType dtype, const std::string& path, DtypeKey key);

/// The text model alone of a multimodal config.json; any other as it is.
std::string text_part(const std::string& config_json, const std::string& path);

/// Whether weights of this config.json have the prefix of multimodal files.
bool is_multimodal(const std::string& config_json, const std::string& path);

}  // namespace caravan::io
