#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "caravan/data.hpp"

namespace caravan::io {

/// All tokens of a data set, one document after the other.
class TokenStream {
 public:
  virtual ~TokenStream() = default;
  virtual std::int64_t size() const = 0;
  /// One more than the largest id that may occur.
  virtual std::int64_t vocab_size() const = 0;
  /// Where documents begin, ascending; a document without a start here continues the one before.
  virtual std::span<const std::int64_t> document_starts() const = 0;
  /// Tokens [begin, begin + out.size()). IoError when they cannot be read or an id is not below vocab_size().
  virtual void read(std::int64_t begin, std::span<std::int32_t> out) const = 0;
  /// See DataSource::identity.
  virtual DataIdentity identity() const = 0;
};

/// A stream in memory.
class MemoryTokens final : public TokenStream {
 public:
  /// `tokenizer`: path of the file that the ids were made with; empty when there is none.
  MemoryTokens(std::vector<std::int32_t> tokens, std::vector<std::int64_t> starts, std::int64_t vocab_size,
               std::string tokenizer = "")
      : tokens_(std::move(tokens)),
        starts_(std::move(starts)),
        vocab_size_(vocab_size),
        tokenizer_(std::move(tokenizer)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(tokens_.size()); }
  std::int64_t vocab_size() const override { return vocab_size_; }
  std::span<const std::int64_t> document_starts() const override { return starts_; }
  void read(std::int64_t begin, std::span<std::int32_t> out) const override;
  DataIdentity identity() const override;

 private:
  std::vector<std::int32_t> tokens_;
  std::vector<std::int64_t> starts_;
  std::int64_t vocab_size_;
  std::string tokenizer_;
};

}  // namespace caravan::io
