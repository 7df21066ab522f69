#pragma once

#include <string>
#include <vector>

#include "io/data/shard_writer.hpp"
#include "io/data/token_stream.hpp"
#include "io/files/file.hpp"

namespace caravan::io {

/// A folder of token shards as one stream. Opening checks every file: all of a set are there, made by the
/// same tokenizer, and each dataset and document start lies where it can. Reading checks every id. Tokens are
/// read straight from their place in the file, so that reading allocates nothing and needs no lock of HDF5's.
class TokenShards final : public TokenStream {
 public:
  explicit TokenShards(const std::string& folder);

  std::int64_t size() const override { return size_; }
  std::int64_t vocab_size() const override { return facts_.vocab_size; }
  std::span<const std::int64_t> document_starts() const override { return starts_; }
  void read(std::int64_t begin, std::span<std::int32_t> out) const override;
  DataIdentity identity() const override;
  const ShardFacts& facts() const noexcept { return facts_; }

 private:
  struct Shard {
    File file;
    TokenType type;
    std::uint64_t offset;  // of the first token, in bytes
    std::int64_t begin;    // of this shard's tokens in the stream
    std::int64_t size;
  };
  void open(const std::string& path);
  void read_from(const Shard& shard, std::int64_t begin, std::span<std::int32_t> out) const;

  std::string folder_;
  std::vector<Shard> shards_;
  std::vector<std::int64_t> starts_;
  ShardFacts facts_;
  std::int64_t size_ = 0;
};

}  // namespace caravan::io
