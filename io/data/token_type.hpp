#pragma once

#include <cstddef>
#include <cstdint>

namespace caravan::io {

/// How a shard stores tokens: 16 bits when the vocabulary fits, else 32.
enum class TokenType { u16, i32 };

inline TokenType token_type_for(std::int64_t vocab_size) {
  return vocab_size <= 65536 ? TokenType::u16 : TokenType::i32;
}
inline std::size_t bytes_of(TokenType type) {
  return type == TokenType::u16 ? 2 : 4;
}

}  // namespace caravan::io
