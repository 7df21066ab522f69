#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/data/shard_facts.hpp"
#include "io/data/token_type.hpp"

namespace caravan::io {

/// What a shard that nobody vouches for holds, and where.
struct ShardStructure {
  ShardFacts facts;
  TokenType type = TokenType::u16;
  std::uint64_t offset = 0;  ///< of the first token, in bytes
  std::int64_t tokens = 0;
  std::vector<std::int64_t> starts;  ///< where documents begin in this file's tokens, ascending
};

/// Asks HDF5 in a sandboxed child process, because it crashes and hangs on damaged files. Everything that is
/// said is checked here. IoError when the file is no token shard, breaks its reader, or cannot be what it
/// says.
ShardStructure read_foreign_shard(const std::string& path);

/// IoError unless `starts` ascend from 0 on and lie below `tokens`.
void check_starts(const std::vector<std::int64_t>& starts, std::int64_t tokens, const std::string& path);

}  // namespace caravan::io
