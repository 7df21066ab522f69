#pragma once

#include <cstdint>
#include <string>

namespace caravan::io {

/// What every shard says of itself.
struct ShardFacts {
  std::int64_t vocab_size = 0;
  std::string tokenizer;         ///< "tokenizer.json, 2048 tokens"
  std::string tokenizer_sha256;  ///< of the tokenizer's file

  bool operator==(const ShardFacts&) const = default;
};

/// IoError naming `path` when the size of the vocabulary is none.
void check_facts(const ShardFacts& facts, const std::string& path);

}  // namespace caravan::io
