#pragma once

#include <string>
#include <utility>
#include <vector>

namespace caravan::io {

/// Lower-case hexadecimal SHA-256 of a tokenizer's file; tells whether tokens were made with this tokenizer.
std::string tokenizer_sha256(const std::string& file);
/// The same as runs and exports store it: "sha256:…".
std::string tokenizer_digest(const std::string& file);

/// What is copied to whoever must decode later: the tokenizer's file as tokenizer.json or tokenizer.model,
/// and the tokenizer_config.json and special_tokens_map.json beside a tokenizer.json.
struct TokenizerFiles {
  std::vector<std::pair<std::string, std::string>> files;  ///< names and bytes; the tokenizer first
  std::string digest;                                      ///< of the tokenizer, "sha256:…"
};
/// IoError when it cannot be read or is too large for a tokenizer.
TokenizerFiles read_tokenizer_files(const std::string& file);

/// The tokenizer's file in `folder`, whichever of the two names it has; empty when there is none.
std::string find_tokenizer_file(const std::string& folder);

}  // namespace caravan::io
