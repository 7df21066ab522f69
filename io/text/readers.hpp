#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "caravan/tokenizer.hpp"

namespace caravan::io {

/// The most ids that a vocabulary may have; bounds the memory that a file can ask for.
inline constexpr std::int64_t kMostTokenIds = 1 << 22;
/// The largest tokenizer file that is read; Llama 4's tokenizer.json has 28 MB.
inline constexpr std::size_t kMostTokenizerBytes = 256u << 20;

/// Llama 4's tokenizer.model: lines of base64(token), blank, rank. The 2048 special tokens follow the ranks
/// by rule. `bytes` is the file, `path` for messages. IoError with the line for anything else.
std::unique_ptr<Tokenizer> read_tiktoken(std::string_view bytes, const std::string& path);

/// Hugging Face's tokenizer.json: BPE with merges, added tokens, pre-tokenizers ByteLevel and Split. What
/// stands around a prompt comes from its post-processor, BOS and EOS from tokenizer_config.json beside it
/// (see name_borders). IoError names what is not supported.
std::unique_ptr<Tokenizer> read_tokenizer_json(std::string_view bytes, const std::string& path);

/// A SentencePiece model. IoError when the library refuses it, or when this build lacks the library.
std::unique_ptr<Tokenizer> read_sentencepiece(std::string_view bytes, const std::string& path);

}  // namespace caravan::io
