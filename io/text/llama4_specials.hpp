#pragma once

#include <cstdint>
#include <vector>

#include "io/text/special_tokens.hpp"

namespace caravan::io {

inline constexpr std::size_t kLlama4BeginOfText = 0;  ///< index into llama4_specials
inline constexpr std::size_t kLlama4EndOfText = 1;

/// The 2048 special tokens of Llama 4, of which the first has the id `first`.
/// Source: meta-llama/llama-models, models/llama4/tokenizer.py.
std::vector<SpecialTokens::Token> llama4_specials(std::int32_t first);

}  // namespace caravan::io
