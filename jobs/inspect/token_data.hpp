#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caravan/tokenizer.hpp"

namespace caravan::jobs {

/// Tokens that are looked into: those of a folder of shards, or of one shard alone.
class TokenData {
 public:
  virtual ~TokenData() = default;
  virtual std::int64_t size() const = 0;
  /// Where documents begin, ascending.
  virtual std::span<const std::int64_t> document_starts() const = 0;
  /// Tokens [begin, begin + out.size()).
  virtual void read(std::int64_t begin, std::span<std::int32_t> out) const = 0;
  /// "made with tokenizer.json, 2048 tokens"; empty when nothing says so.
  virtual std::string origin() const = 0;
  /// Of the tokenizer that made them; empty when nothing says so.
  virtual std::string tokenizer_sha256() const = 0;
};

/// `path`: a folder of shards, compared with their manifest where there is one, or one shard, which nobody
/// vouches for. IoError when it is neither.
std::unique_ptr<TokenData> open_tokens(const std::string& path);

/// The tokenizer that lies beside tokens, or why there is none to read them with.
struct TokenizerBeside {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string why;
};
TokenizerBeside tokenizer_beside(const std::string& path, const TokenData& data);

}  // namespace caravan::jobs
