#include "io/data/token_shards.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <variant>

#include "caravan/check.hpp"
#include "io/data/shard_format.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/walk.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kIdsAtOnce = 4096;
constexpr std::int64_t kMostVocabulary = std::int64_t{1} << 31;

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

template <class T>
T attribute(const h5::H5File& file, const std::string& name) {
  const h5::AttributeValue value = h5::read_attribute(file, "/", name);
  CARAVAN_CHECK(std::holds_alternative<T>(value), IoError,
                fmt::format("{}: attribute {} is of another type. Is it a token shard?", file.path(), name));
  return std::get<T>(value);
}

ShardFacts read_facts(const h5::H5File& file) {
  CARAVAN_CHECK(
      h5::has_attribute(file, "/", "format") && attribute<std::string>(file, "format") == kShardFormat,
      IoError,
      fmt::format(
          "{} is no token shard (its attribute format is not '{}'). Make shards with caravan data prepare?",
          file.path(), kShardFormat));
  const auto version = attribute<std::int64_t>(file, "version");
  CARAVAN_CHECK(version == kShardVersion, IoError,
                fmt::format("{}: version {} (this program reads {}). Prepare the data again?", file.path(),
                            version, kShardVersion));
  ShardFacts facts{attribute<std::int64_t>(file, "vocab_size"), attribute<std::string>(file, "tokenizer"),
                   attribute<std::string>(file, "tokenizer_sha256")};
  CARAVAN_CHECK(facts.vocab_size > 0 && facts.vocab_size < kMostVocabulary, IoError,
                fmt::format("{}: vocab_size {} (at least 1, below 2^31). Is the file damaged?", file.path(),
                            facts.vocab_size));
  return facts;
}

struct TokensPlace {
  TokenType type;
  std::uint64_t offset;
  std::int64_t size;
};

TokensPlace place_of_tokens(const h5::H5File& file, std::uint64_t file_bytes) {
  const h5::Handle dataset(
      h5::checked(H5Dopen2(file.id(), "tokens", H5P_DEFAULT), "open dataset tokens of", file.path()),
      H5Dclose);
  const h5::Handle type(h5::checked(H5Dget_type(dataset), "read the type of tokens in", file.path()),
                        H5Tclose);
  const h5::Handle space(h5::checked(H5Dget_space(dataset), "read the shape of tokens in", file.path()),
                         H5Sclose);
  const bool is_u16 = H5Tequal(type, hdf5_type(TokenType::u16)) > 0;
  CARAVAN_CHECK(
      is_u16 || H5Tequal(type, hdf5_type(TokenType::i32)) > 0, IoError,
      fmt::format("{}: tokens are neither u16 nor i32, little-endian. Prepare the data again?", file.path()));
  hsize_t extent = 0;
  CARAVAN_CHECK(
      H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &extent, nullptr) == 1 &&
          extent > 0,
      IoError,
      fmt::format("{}: tokens are not one row with at least one id. Is the file damaged?", file.path()));
  const TokenType token_type = is_u16 ? TokenType::u16 : TokenType::i32;
  const haddr_t offset = H5Dget_offset(dataset);
  const bool is_inside =
      offset != HADDR_UNDEF && offset <= file_bytes && extent <= (file_bytes - offset) / bytes_of(token_type);
  CARAVAN_CHECK(
      is_inside, IoError,
      fmt::format("{}: {} tokens do not lie in one stretch inside the {} bytes of the file. Is it truncated?",
                  file.path(), extent, file_bytes));
  return {token_type, offset, static_cast<std::int64_t>(extent)};
}

std::vector<std::int64_t> read_starts(const h5::H5File& file, std::int64_t tokens) {
  const h5::Dataset dataset = h5::Dataset::open(file, "document_starts");
  const bool can_be =
      dataset.dtype() == DType::i64 && dataset.shape().rank() == 1 && dataset.shape()[0] <= tokens;
  CARAVAN_CHECK(
      can_be, IoError,
      fmt::format("{}: document_starts {} for {} tokens (one i64 for each document). Is the file damaged?",
                  file.path(), to_string(dataset.shape()), tokens));
  std::vector<std::int64_t> starts(static_cast<std::size_t>(dataset.shape()[0]));
  if (!starts.empty()) dataset.read({}, TensorView(starts.data(), DType::i64, dataset.shape()));
  std::int64_t before = -1;
  for (std::int64_t start : starts) {
    CARAVAN_CHECK(start > before && start < tokens, IoError,
                  fmt::format("{}: document start {} after {} (starts ascend and lie below the {} tokens). "
                              "Is the file damaged?",
                              file.path(), start, before, tokens));
    before = start;
  }
  return starts;
}

}  // namespace

TokenShards::TokenShards(const std::string& folder) : folder_(folder) {
  const int shards = count_shards(folder);
  for (int shard = 0; shard < shards; ++shard) open((fs::path(folder) / shard_name(shard, shards)).string());
}

void TokenShards::open(const std::string& path) {
  const h5::Guard guard;
  File raw(path, O_RDONLY);
  const h5::H5File file = h5::H5File::open_to_read(path);
  h5::walk(file);  // refuses what reaches outside the file
  const ShardFacts facts = read_facts(file);
  const bool fits = shards_.empty() || (facts.tokenizer_sha256 == facts_.tokenizer_sha256 &&
                                        facts.vocab_size == facts_.vocab_size);
  CARAVAN_CHECK(fits, IoError,
                fmt::format("{}: made with the tokenizer {} (the shard before: {}). Prepare the data again?",
                            path, facts.tokenizer_sha256, facts_.tokenizer_sha256));
  facts_ = facts;
  const TokensPlace place = place_of_tokens(file, raw.size());
  shards_.push_back({std::move(raw), place.type, place.offset, size_, place.size});
  for (std::int64_t start : read_starts(file, place.size)) starts_.push_back(size_ + start);
  size_ += place.size;
}

DataIdentity TokenShards::identity() const {
  return {"", "sha256:" + facts_.tokenizer_sha256, find_tokenizer_file(folder_), size_};
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
    return shard.offset + static_cast<std::uint64_t>(index) * bytes_of(shard.type);
  };
  while (!out.empty()) {
    const auto part = out.first(std::min(out.size(), kIdsAtOnce));
    if (shard.type == TokenType::i32) shard.file.read_at(place(begin), std::as_writable_bytes(part));
    if (shard.type == TokenType::u16) {
      shard.file.read_at(place(begin), std::as_writable_bytes(std::span(narrow).first(part.size())));
      std::copy_n(narrow.begin(), part.size(), part.begin());
    }
    for (std::int32_t id : part)
      CARAVAN_CHECK(id >= 0 && id < facts_.vocab_size, IoError,
                    fmt::format("{}: token id {} (vocab_size is {}). Is the file damaged?", shard.file.path(),
                                id, facts_.vocab_size));
    begin += static_cast<std::int64_t>(part.size());
    out = out.subspan(part.size());
  }
}

}  // namespace caravan::io
