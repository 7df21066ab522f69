#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/config.hpp"
#include "io/meta/meta_widths.hpp"

namespace caravan::io {

/// Meta's params.json in the words of a job.
struct MetaParams {
  /// Parameters of the model plugin "llama4"; vocab_size, dense_width and expert_width are missing where the
  /// weights alone say them.
  Config model;
  std::int64_t dim = 0, heads = 0, kv_heads = 0, head_dim = 0, experts = 0;
  std::vector<std::string> warnings;  ///< keys that are not read, one sentence each
};

/// Reads `folder`/params.json, flat or inside "model". Absent keys have the defaults of Meta's ModelArgs.
/// IoError for what the model here cannot express, such as quantised weights.
MetaParams read_meta_params(const std::string& folder);
MetaParams parse_meta_params(const std::string& json, const std::string& path);

/// The text of a params.json for `model`: all keys of the plugin, defaults filled in. What Meta's format has
/// no key for and a reader of ours needs stands under a key of our own, said in `notes`, as is that no keys
/// give the widths. IoError, naming every key, for what it cannot express.
std::string meta_params_text(const Config& model, const MetaWidths& widths, std::vector<std::string>& notes);

}  // namespace caravan::io
