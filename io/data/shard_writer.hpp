#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/data/shard_facts.hpp"
#include "io/data/shard_manifest.hpp"
#include "io/data/token_digest.hpp"
#include "io/data/token_type.hpp"
#include "io/files/pending_folder.hpp"

namespace caravan::io {

/// Writes a folder of HDF5 files tokens-NNNNN-of-MMMMM.h5, each with the datasets `tokens` [n] (u16 or i32)
/// and `document_starts` [d] (i64, places in this file's tokens) and the facts as attributes, and their
/// manifest. The folder appears under its name when all of it is written; without `finish`, and after an
/// error, nothing stays. What a preparation of the same name left that was killed is removed first.
class ShardWriter {
 public:
  /// IoError when `folder` holds token shards or is a file. A file holds whole documents up to
  /// `tokens_a_shard`; only a longer one is cut.
  ShardWriter(std::string folder, ShardFacts facts, std::int64_t tokens_a_shard);

  void add_document(std::span<const std::int32_t> tokens);
  /// A file of this name and content beside the shards, such as the tokenizer that made them.
  void add_file(const std::string& name, const std::string& bytes);
  /// [once] Gives the number of shards.
  int finish();

 private:
  void append(std::span<const std::int32_t> tokens);
  void write_shard();
  std::string beside(int shard) const;

  std::string folder_;
  std::optional<PendingFolder> beside_;
  ShardManifest manifest_;
  TokenDigest digest_;
  TokenType type_;
  std::int64_t tokens_a_shard_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int64_t> starts_;
  std::int64_t written_ = 0;  // tokens in finished files
};

}  // namespace caravan::io
