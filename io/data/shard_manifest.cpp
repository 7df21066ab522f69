#include "io/data/shard_manifest.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "io/data/shard_format.hpp"
#include "io/files/digest.hpp"
#include "io/files/sealed_json.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::int64_t kManifestVersion = 1;
constexpr std::uint64_t kMostManifestBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 60;  // so that sums of places cannot overflow
constexpr std::size_t kChunkBytes = std::size_t{1} << 18;

std::string manifest_path(const std::string& folder) {
  return (std::filesystem::path(folder) / kShardManifestFile).string();
}

/// Of every byte that belongs to neither range.
std::uint64_t structure_digest(const File& file, std::uint64_t size, const ShardRecord& record) {
  const auto [first, second] = std::minmax(record.tokens, record.starts,
                                           [](const auto& a, const auto& b) { return a.offset < b.offset; });
  const std::array<std::pair<std::uint64_t, std::uint64_t>, 3> gaps{
      {{0, first.offset}, {first.end(), second.offset}, {second.end(), size}}};
  std::vector<std::byte> buffer(kChunkBytes);
  Digest digest;
  for (const auto& [begin, end] : gaps) {
    for (std::uint64_t at = begin; at < end; at += kChunkBytes) {
      const auto chunk = std::span(buffer).first(std::min<std::uint64_t>(kChunkBytes, end - at));
      file.read_at(at, chunk);
      digest.add(chunk);
    }
  }
  return digest.value();
}

json to_json(const RangeRecord& range) {
  json blocks = json::array();
  for (const std::uint64_t block : range.blocks) blocks.push_back(digest_to_hex(block));
  return {{"offset", range.offset}, {"bytes", range.bytes}, {"blocks_xxh3", std::move(blocks)}};
}

json to_json(const ShardRecord& shard) {
  return {{"name", shard.name},
          {"bytes", shard.bytes},
          {"structure_xxh3", digest_to_hex(shard.structure)},
          {"type", shard.type == TokenType::u16 ? "u16" : "i32"},
          {"tokens", to_json(shard.tokens)},
          {"document_starts", to_json(shard.starts)}};
}

json to_json(const ShardManifest& manifest) {
  json shards = json::array();
  for (const ShardRecord& shard : manifest.shards) shards.push_back(to_json(shard));
  return {{"format", kShardFormat},
          {"format_version", kManifestVersion},
          {"creator", "caravan " CARAVAN_VERSION},
          {"vocab_size", manifest.facts.vocab_size},
          {"tokenizer", manifest.facts.tokenizer},
          {"tokenizer_sha256", manifest.facts.tokenizer_sha256},
          {"identity", manifest.identity},
          {"block_bytes", kShardBlockBytes},
          {"shards", std::move(shards)}};
}

/// Whole elements inside a file of `file_bytes`, with a digest for each block.
RangeRecord range_from(const json& object, std::uint64_t file_bytes, std::uint64_t element_bytes) {
  RangeRecord range{uint64_of(object.at("offset")), uint64_of(object.at("bytes")), {}};
  CARAVAN_CHECK(range.offset <= file_bytes && range.bytes <= file_bytes - range.offset &&
                    range.bytes % element_bytes == 0,
                IoError,
                fmt::format("{} bytes from {} are no elements of {} bytes inside the {} bytes of the file",
                            range.bytes, range.offset, element_bytes, file_bytes));
  for (const json& block : object.at("blocks_xxh3")) range.blocks.push_back(digest_from(block));
  CARAVAN_CHECK(
      range.blocks.size() == (range.bytes + kShardBlockBytes - 1) / kShardBlockBytes, IoError,
      fmt::format("{} digests of blocks, which {} bytes contradict", range.blocks.size(), range.bytes));
  return range;
}

TokenType type_named(const std::string& name) {
  CARAVAN_CHECK(name == "u16" || name == "i32", IoError, fmt::format("'{}' is no type of tokens", name));
  return name == "u16" ? TokenType::u16 : TokenType::i32;
}

ShardRecord shard_from(const json& object, const std::string& name) {
  ShardRecord shard;
  shard.name = object.at("name").get<std::string>();
  CARAVAN_CHECK(shard.name == name, IoError, fmt::format("'{}' stands in its place", shard.name));
  shard.bytes = uint64_of(object.at("bytes"));
  CARAVAN_CHECK(shard.bytes <= kLargestFile, IoError,
                fmt::format("{} bytes are more than a file has", shard.bytes));
  shard.structure = digest_from(object.at("structure_xxh3"));
  shard.type = type_named(object.at("type").get<std::string>());
  shard.tokens = range_from(object.at("tokens"), shard.bytes, bytes_of(shard.type));
  shard.starts = range_from(object.at("document_starts"), shard.bytes, sizeof(std::int64_t));
  const bool is_apart =
      shard.tokens.end() <= shard.starts.offset || shard.starts.end() <= shard.tokens.offset;
  const auto starts = static_cast<std::int64_t>(shard.starts.bytes / sizeof(std::int64_t));
  CARAVAN_CHECK(is_apart && shard.num_tokens() > 0 && starts <= shard.num_tokens(), IoError,
                fmt::format("{} tokens from byte {} and {} documents from byte {} cannot be",
                            shard.num_tokens(), shard.tokens.offset, starts, shard.starts.offset));
  return shard;
}

/// With the manifest's path in front of what is wrong.
ShardRecord named_shard_from(const json& object, const std::string& name, const std::string& path) {
  try {
    return shard_from(object, name);
  } catch (const IoError& error) {
    throw IoError(fmt::format("{}: {}: {}", path, name, error.what()));
  }
}

void check_format(const json& body, const std::string& path) {
  CARAVAN_CHECK(
      body.at("format").get<std::string>() == kShardFormat, IoError,
      fmt::format("{} is no manifest of token shards (its format is another). Is it the right folder?",
                  path));
  const std::int64_t version = int64_of(body.at("format_version"));
  CARAVAN_CHECK(version == kManifestVersion, IoError,
                fmt::format("{} has format version {} (this caravan reads {}). Prepare the data again?", path,
                            version, kManifestVersion));
  CARAVAN_CHECK(uint64_of(body.at("block_bytes")) == kShardBlockBytes, IoError,
                fmt::format("{} has blocks of another size than {} bytes", path, kShardBlockBytes));
}

ShardManifest manifest_from(const json& body, const std::string& path) {
  check_format(body, path);
  ShardManifest manifest;
  manifest.facts = {int64_of(body.at("vocab_size")), body.at("tokenizer").get<std::string>(),
                    body.at("tokenizer_sha256").get<std::string>()};
  check_facts(manifest.facts, path);
  manifest.identity = body.at("identity").get<std::string>();
  const json& shards = body.at("shards");
  CARAVAN_CHECK(shards.is_array() && !shards.empty() && shards.size() <= kMostShards, IoError,
                fmt::format("{} lists no shard, or too many", path));
  std::int64_t tokens = 0;
  for (const json& shard : shards) {
    const auto index = static_cast<int>(manifest.shards.size());
    manifest.shards.push_back(
        named_shard_from(shard, shard_name(index, static_cast<int>(shards.size())), path));
    tokens += manifest.shards.back().num_tokens();
    CARAVAN_CHECK(tokens <= kMostTokens, IoError, fmt::format("{} has more than 2^60 tokens", path));
  }
  return manifest;
}

}  // namespace

ShardRecord seal_shard(const std::string& path, TokenType type, const RangeRecord& tokens,
                       const RangeRecord& starts) {
  const File file(path, O_RDONLY);
  ShardRecord record{std::filesystem::path(path).filename().string(),
                     file.size(),
                     0,
                     type,
                     seal_range(file, tokens.offset, tokens.bytes),
                     seal_range(file, starts.offset, starts.bytes)};
  record.structure = structure_digest(file, record.bytes, record);
  return record;
}

void check_structure(const std::string& path, const ShardRecord& record) {
  const File file(path, O_RDONLY);
  const std::uint64_t size = file.size();
  CARAVAN_CHECK(size == record.bytes, IoError,
                fmt::format("{} has {} bytes instead of {} ({}). Prepare the data again?", path, size,
                            record.bytes, size < record.bytes ? "truncated" : "changed"));
  CARAVAN_CHECK(structure_digest(file, size, record) == record.structure, IoError,
                fmt::format("{} is damaged outside its tokens (HDF5's own records do not have their digest). "
                            "Prepare the data again?",
                            path));
}

bool has_shard_manifest(const std::string& folder) {
  return std::filesystem::exists(std::filesystem::symlink_status(manifest_path(folder)));
}

void write_shard_manifest(const std::string& folder, const ShardManifest& manifest) {
  const std::string text = well_formed(folder, [&] { return seal_json(to_json(manifest)); });
  File file(manifest_path(folder), O_WRONLY | O_CREAT | O_EXCL);
  file.write(std::as_bytes(std::span(text)));
  file.sync();
}

ShardManifest read_shard_manifest(const std::string& folder) {
  const std::string path = manifest_path(folder);
  const json body = read_sealed_json(path, kMostManifestBytes);
  return well_formed(path, [&] { return manifest_from(body, path); });
}

}  // namespace caravan::io
