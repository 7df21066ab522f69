#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "caravan/config.hpp"

namespace caravan::io {

/// A Hugging Face model's configuration in the words of a job.
struct HfConfig {
  Config model;                     ///< parameters of the model plugin "llama4"
  std::optional<std::int64_t> bos;  ///< token ids, from generation_config.json where there is one
  std::optional<std::int64_t> pad;
  std::vector<std::int64_t> eos;      ///< any of these ends a text
  std::int64_t positions = 0;         ///< the most of a sequence; 0: the file does not say
  std::vector<std::string> notes;     ///< what was left out, one sentence each
  std::vector<std::string> warnings;  ///< sources that disagree, one sentence each: both, and which counts
};

/// Reads `folder`/config.json: Llama4TextConfig, or the text_config inside a Llama4Config, with every
/// spelling that released files use; absent keys have that class's defaults. Keys that disagree give what
/// transformers 5 makes of them. IoError for what the model here cannot express and what transformers
/// refuses.
HfConfig read_hf_config(const std::string& folder);

/// The same from the text of the file; `path` names it in messages.
HfConfig parse_hf_config(const std::string& json, const std::string& path);
/// What a generation_config.json says beside it: it alone then says which tokens end a text.
void take_generation_ids(const std::string& json, const std::string& path, HfConfig& config);

}  // namespace caravan::io
