#include "io/data/token_shards.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/data/shard_format.hpp"
#include "io/data/shard_manifest.hpp"
#include "io/data/shard_structure.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdsAtOnce = 4096;

int count_shards(const std::string& folder) {
  std::error_code error;
  int shards = 0;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto count = count_in_shard_name(entry.path().filename().string());
    if (!count) continue;
    CARAVAN_CHECK(
        shards == 0 || shards == *count, IoError,
        fmt::format("{} holds shards of a set of {} and of a set of {} (a folder is one set). Remove one?",
                    folder, shards, *count));
    shards = *count;
  }
  CARAVAN_CHECK(!error, IoError,
                fmt::format("cannot read the folder {} ({}). Is data.path right?", folder, error.message()));
  CARAVAN_CHECK(shards > 0, IoError,
                fmt::format("{} holds no token shards (files like {}). Make them with caravan data prepare?",
                            folder, shard_name(0, 1)));
  return shards;
}

std::vector<std::int64_t> read_starts(const std::string& path, const ShardRecord& record) {
  std::vector<std::int64_t> starts(record.starts.bytes / sizeof(std::int64_t));
  const SealedRange range(File(path, O_RDONLY), "document starts", record.starts);
  range.read(0, std::as_writable_bytes(std::span(starts)));
  check_starts(starts, record.num_tokens(), path);
  return starts;
}

}  // namespace

TokenShards::TokenShards(const std::string& folder) : folder_(folder) {
  const int shards = count_shards(folder);
  if (has_shard_manifest(folder))
    open_sealed(shards);
  else
    open_foreign(shards);
}

void TokenShards::open_sealed(int shards) {
  const ShardManifest manifest = read_shard_manifest(folder_);
  CARAVAN_CHECK(manifest.shards.size() == static_cast<std::size_t>(shards), IoError,
                fmt::format("{} holds shards of a set of {} ({} lists {}). Prepare the data again?", folder_,
                            shards, kShardManifestFile, manifest.shards.size()));
  facts_ = manifest.facts;
  digest_ = manifest.identity;
  for (const ShardRecord& record : manifest.shards) {
    const std::string path = (fs::path(folder_) / record.name).string();
    check_structure(path, record);
    const auto starts = read_starts(path, record);
    add({{File(path, O_RDONLY), "tokens", record.tokens}, record.type, record.num_tokens()}, starts);
  }
}

void TokenShards::open_foreign(int shards) {
  log_warning(
      fmt::format("{} has no {} (an older caravan or another program made it): its tokens have no digests, "
                  "so that damage is not found. Prepare the data again?",
                  folder_, kShardManifestFile));
  for (int index = 0; index < shards; ++index) {
    const std::string path = (fs::path(folder_) / shard_name(index, shards)).string();
    const ShardStructure found = read_foreign_shard(path);
    const bool fits = index == 0 || (found.facts.tokenizer_sha256 == facts_.tokenizer_sha256 &&
                                     found.facts.vocab_size == facts_.vocab_size);
    CARAVAN_CHECK(
        fits, IoError,
        fmt::format("{}: made with the tokenizer {} (the shard before: {}). Prepare the data again?", path,
                    found.facts.tokenizer_sha256, facts_.tokenizer_sha256));
    facts_ = found.facts;
    const RangeRecord tokens{
        found.offset, static_cast<std::uint64_t>(found.tokens) * bytes_of(found.type), {}};
    add({{File(path, O_RDONLY), "tokens", tokens}, found.type, found.tokens}, found.starts);
  }
}

void TokenShards::add(Shard shard, const std::vector<std::int64_t>& starts) {
  CARAVAN_CHECK(shard.size <= kMostTokens - size_, IoError,
                fmt::format("{} holds more than 2^60 tokens. Is a file damaged?", folder_));
  for (std::int64_t start : starts) starts_.push_back(size_ + start);
  shard.begin = size_;
  size_ += shard.size;
  shards_.push_back(std::move(shard));
}

DataIdentity TokenShards::identity() const {
  return {digest_, "sha256:" + facts_.tokenizer_sha256, find_tokenizer_file(folder_), size_};
}

void TokenShards::read(std::int64_t begin, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  CARAVAN_CHECK(begin >= 0 && count <= size_ && begin <= size_ - count, IoError,
                fmt::format("{} has {} tokens and cannot give {} from {} on", folder_, size_, count, begin));
  auto shard = std::ranges::upper_bound(shards_, begin, {}, &Shard::begin) - 1;
  while (!out.empty()) {
    const std::int64_t left = shard->begin + shard->size - begin;
    const auto part = out.first(std::min(out.size(), static_cast<std::size_t>(left)));
    read_from(*shard, begin - shard->begin, part);
    begin += static_cast<std::int64_t>(part.size());
    out = out.subspan(part.size());
    ++shard;
  }
}

void TokenShards::read_from(const Shard& shard, std::int64_t begin, std::span<std::int32_t> out) const {
  std::array<std::uint16_t, kIdsAtOnce> narrow;
  const auto place = [&](std::int64_t index) {
    return static_cast<std::uint64_t>(index) * bytes_of(shard.type);
  };
  while (!out.empty()) {
    const auto part = out.first(std::min(out.size(), kIdsAtOnce));
    if (shard.type == TokenType::i32) shard.tokens.read(place(begin), std::as_writable_bytes(part));
    if (shard.type == TokenType::u16) {
      shard.tokens.read(place(begin), std::as_writable_bytes(std::span(narrow).first(part.size())));
      std::copy_n(narrow.begin(), part.size(), part.begin());
    }
    for (std::int32_t id : part)
      CARAVAN_CHECK(id >= 0 && id < facts_.vocab_size, IoError,
                    fmt::format("{}: token id {} (vocab_size is {}). Is the file damaged?",
                                shard.tokens.path(), id, facts_.vocab_size));
    begin += static_cast<std::int64_t>(part.size());
    out = out.subspan(part.size());
  }
}

}  // namespace caravan::io
