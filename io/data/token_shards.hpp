#pragma once

#include <string>
#include <vector>

#include "io/data/sealed_range.hpp"
#include "io/data/shard_facts.hpp"
#include "io/data/token_stream.hpp"
#include "io/data/token_type.hpp"

namespace caravan::io {

/// A folder of token shards as one stream. With their manifest HDF5 never sees them: opening compares
/// everything but the tokens with it, and reading compares each block of tokens once. Shards without a
/// manifest, of an older preparation or of somebody else, are opened in a sandboxed child, with a warning.
/// Reading checks every id. Tokens are read straight from their place in the file. One thread.
class TokenShards final : public TokenStream {
 public:
  /// IoError when the folder holds no complete set of shards, or one is damaged.
  explicit TokenShards(const std::string& folder);

  std::int64_t size() const override { return size_; }
  std::int64_t vocab_size() const override { return facts_.vocab_size; }
  std::span<const std::int64_t> document_starts() const override { return starts_; }
  void read(std::int64_t begin, std::span<std::int32_t> out) const override;
  DataIdentity identity() const override;
  const ShardFacts& facts() const noexcept { return facts_; }

 private:
  struct Shard {
    SealedRange tokens;
    TokenType type;
    std::int64_t size;
    std::int64_t begin = 0;  // of this shard's tokens in the stream
  };
  void open_sealed(int shards);
  void open_foreign(int shards);
  void add(Shard shard, const std::vector<std::int64_t>& starts);
  void read_from(const Shard& shard, std::int64_t begin, std::span<std::int32_t> out) const;

  std::string folder_;
  std::vector<Shard> shards_;
  std::vector<std::int64_t> starts_;
  ShardFacts facts_;
  std::string digest_;  // empty when nobody vouches for the tokens
  std::int64_t size_ = 0;
};

}  // namespace caravan::io
