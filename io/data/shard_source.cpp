#include "io/data/shard_source.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "io/data/token_shards.hpp"
#include "io/text/load_tokenizer.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::io {
namespace {

std::unique_ptr<TokenStream> open_shards(const Config& config) {
  auto shards = std::make_unique<TokenShards>(config.get_string("path"));
  if (config.find("tokenizer").is_null()) return shards;
  const std::string file = tokenizer_file(config.get_string("tokenizer"));
  const std::string sha256 = tokenizer_sha256(file);
  CARAVAN_CHECK(
      sha256 == shards->facts().tokenizer_sha256, ConfigError,
      fmt::format("{} has the SHA-256 {} (the shards in {} were made with {}). Prepare the data again?", file,
                  sha256, config.get_string("path"), shards->facts().tokenizer_sha256));
  return shards;
}

}  // namespace

ShardSource::ShardSource(const Host&, const Config& config)
    : WindowSource(open_shards(config), window_options(config)),
      named_tokenizer_(config.find("tokenizer").is_null() ? ""
                                                          : tokenizer_file(config.get_string("tokenizer"))) {}

DataIdentity ShardSource::identity() const {
  DataIdentity identity = WindowSource::identity();
  if (identity.tokenizer.empty()) identity.tokenizer = named_tokenizer_;
  return identity;
}

}  // namespace caravan::io
