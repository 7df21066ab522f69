#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/data/sealed_range.hpp"
#include "io/data/shard_facts.hpp"
#include "io/data/token_type.hpp"

namespace caravan::io {

inline constexpr const char* kShardManifestFile = "tokens-manifest.json";

/// One file of a set of shards. `structure` is the XXH3-64 of every byte outside its two ranges.
struct ShardRecord {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t structure = 0;
  TokenType type = TokenType::u16;
  RangeRecord tokens;  ///< little-endian, of `type`
  RangeRecord starts;  ///< where documents begin in this file's tokens, i64

  std::int64_t num_tokens() const { return static_cast<std::int64_t>(tokens.bytes / bytes_of(type)); }
};

/// What stands beside shards, written last: where their tokens lie and what digests they have, so that
/// training needs no HDF5 to read them and damage is found.
struct ShardManifest {
  ShardFacts facts;
  std::string identity;  ///< see TokenDigest
  std::vector<ShardRecord> shards;
};

/// The record of a finished file whose tokens and starts are these ranges (without blocks).
ShardRecord seal_shard(const std::string& path, TokenType type, const RangeRecord& tokens,
                       const RangeRecord& starts);

/// IoError unless size and structure of the file are those of its record.
void check_structure(const std::string& path, const ShardRecord& record);

bool has_shard_manifest(const std::string& folder);
void write_shard_manifest(const std::string& folder, const ShardManifest& manifest);
/// IoError when it is damaged (it carries its own digest), malformed, of another version, or says what cannot
/// be.
ShardManifest read_shard_manifest(const std::string& folder);

}  // namespace caravan::io
