#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/error.hpp"
#include "io/data/shard_writer.hpp"
#include "io/data/token_shards.hpp"
#include "tests/io/temporary_folder.hpp"

namespace caravan::io {

using Ids = std::vector<std::int32_t>;

inline ShardFacts facts(std::int64_t vocab_size) {
  return {vocab_size, "a tokenizer", std::string(64, 'a')};
}

inline Ids all_of(const TokenStream& stream) {
  Ids ids(static_cast<std::size_t>(stream.size()));
  stream.read(0, ids);
  return ids;
}

inline void write(const std::string& folder, const std::vector<Ids>& documents, std::int64_t vocab_size = 100,
                  std::int64_t tokens_a_shard = 1000) {
  ShardWriter writer(folder, facts(vocab_size), tokens_a_shard);
  for (const Ids& document : documents) writer.add_document(document);
  writer.finish();
}

/// Reads all of a folder; what stands in the way.
inline std::string complaint(const std::string& folder) {
  return test::message_of<IoError>([&] { all_of(TokenShards(folder)); });
}

}  // namespace caravan::io
