#pragma once

#include <string>

#include "io/text/bpe_trainer.hpp"

namespace caravan::io {

/// The learned vocabulary and the special tokens <|begin_of_text|> and <|end_of_text|> after it, as a
/// tokenizer.json that Hugging Face's libraries read like ours: Llama 4's split, then ByteLevel, then BPE.
std::string write_tokenizer_json(const LearnedBpe& learned);

/// How many tokens that file adds to the learned ones.
inline constexpr std::int32_t kNumAddedTokens = 2;

}  // namespace caravan::io
