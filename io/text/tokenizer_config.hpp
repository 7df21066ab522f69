#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/tokenizer.hpp"

namespace caravan::io {

/// What the files beside a tokenizer say: Hugging Face's tokenizer_config.json, and special_tokens_map.json
/// for the names that it lacks.
struct TokenizerConfig {
  std::string path;                     ///< of tokenizer_config.json; empty when there is none
  std::optional<std::string> bos, eos;  ///< names; nothing when absent or null
  std::optional<bool> add_bos, add_eos;
  bool says_no_bos = false;  ///< bos_token is null
};

/// Of the tokenizer in the file `tokenizer`; what is not called tokenizer.json or tokenizer.model has none.
/// IoError naming the file when it cannot be read.
TokenizerConfig read_tokenizer_config(const std::string& tokenizer);

/// For formats that have no post-processor: BOS before and nothing after, unless the configuration says
/// otherwise.
TextFrame frame_without_post_processor(const TokenizerConfig& config, std::optional<std::int32_t> bos,
                                       std::optional<std::int32_t> eos);

}  // namespace caravan::io
