#include "io/data/shard_structure.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <variant>

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"
#include "io/data/shard_format.hpp"
#include "io/files/file.hpp"
#include "io/files/isolated_child.hpp"
#include "io/files/sealed_json.hpp"
#include "io/files/strict_json.hpp"
#include "io/hdf5/attribute.hpp"
#include "io/hdf5/dataset.hpp"
#include "io/hdf5/walk.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::int64_t kMostVocabulary = std::int64_t{1} << 31;
constexpr std::uint64_t kSecondsToOpen = 2, kSlowestBytesASecond = 20'000'000;

// What follows up to `answer` runs in the child.

template <class T>
T attribute(const h5::H5File& file, const std::string& name) {
  const h5::AttributeValue value = h5::read_attribute(file, "/", name);
  CARAVAN_CHECK(std::holds_alternative<T>(value), IoError,
                fmt::format("{}: attribute {} is of another type. Is it a token shard?", file.path(), name));
  return std::get<T>(value);
}

json facts_of(const h5::H5File& file) {
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
  return {{"vocab_size", attribute<std::int64_t>(file, "vocab_size")},
          {"tokenizer", attribute<std::string>(file, "tokenizer")},
          {"tokenizer_sha256", attribute<std::string>(file, "tokenizer_sha256")}};
}

json place_of_tokens(const h5::H5File& file) {
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
      H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_dims(space, &extent, nullptr) == 1,
      IoError, fmt::format("{}: tokens are not one row. Is the file damaged?", file.path()));
  const haddr_t offset = H5Dget_offset(dataset);
  CARAVAN_CHECK(
      offset != HADDR_UNDEF, IoError,
      fmt::format("{}: tokens do not lie in one stretch of the file. Prepare the data again?", file.path()));
  return {{"is_u16", is_u16}, {"tokens", extent}, {"offset", offset}};
}

std::vector<std::int64_t> starts_of(const h5::H5File& file, std::uint64_t tokens) {
  const h5::Dataset dataset = h5::Dataset::open(file, "document_starts");
  const bool can_be = dataset.dtype() == DType::i64 && dataset.shape().rank() == 1 &&
                      static_cast<std::uint64_t>(dataset.shape()[0]) <= tokens;
  CARAVAN_CHECK(
      can_be, IoError,
      fmt::format("{}: document_starts {} for {} tokens (one i64 for each document). Is the file damaged?",
                  file.path(), to_string(dataset.shape()), tokens));
  std::vector<std::int64_t> starts(static_cast<std::size_t>(dataset.shape()[0]));
  if (!starts.empty()) dataset.read({}, TensorView(starts.data(), DType::i64, dataset.shape()));
  return starts;
}

/// A line of JSON, then the starts as they lie in memory.
std::string answer(const std::string& path, std::span<const std::byte> image) {
  const h5::H5File file = h5::H5File::open_image(path, image);
  h5::walk(file);  // refuses what reaches outside the file
  json facts = facts_of(file);
  facts.update(place_of_tokens(file));
  const auto tokens = facts.at("tokens").get<std::uint64_t>();
  CARAVAN_CHECK(tokens <= image.size(), IoError,
                fmt::format("{}: {} tokens do not fit in the {} bytes of the file. Is it truncated?", path,
                            tokens, image.size()));
  const std::vector<std::int64_t> starts = starts_of(file, tokens);
  return facts.dump(-1, ' ', true, json::error_handler_t::replace) + "\n" +
         std::string(reinterpret_cast<const char*>(starts.data()), starts.size() * sizeof(std::int64_t));
}

/// The limit counts what the child shares with this process too, which on a GPU's host is more than memory.
std::uint64_t address_space_bytes() {
  const std::string pages = read_file("/proc/self/statm", 4096);
  return std::stoull(pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string ask_child(const std::string& path) {
  const MappedFile image(path);  // read by the child alone: a file that is cut meanwhile ends the child
  h5::start();                   // the library reads its environment before the sandbox
  IsolationLimits limits;
  limits.memory_bytes += address_space_bytes();
  limits.cpu_s = kSecondsToOpen + image.bytes().size() / kSlowestBytesASecond;
  const IsolatedChild child(
      path, [&](std::string_view) { return answer(path, image.bytes()); }, limits);
  try {
    return child.ask("");
  } catch (const IoError& error) {
    const std::string why = error.what();  // HDF5 speaks of objects, not of files
    throw IoError(why.find(path) == std::string::npos ? fmt::format("{}: {}", path, why) : why);
  }
}

ShardStructure structure_from(const std::string& text, const std::string& path) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const json object = parse_json_strict(text.substr(0, end), path);
  ShardStructure structure;
  structure.facts = {int64_of(object.at("vocab_size")), object.at("tokenizer").get<std::string>(),
                     object.at("tokenizer_sha256").get<std::string>()};
  structure.type = object.at("is_u16").get<bool>() ? TokenType::u16 : TokenType::i32;
  structure.tokens = int64_of(object.at("tokens"));
  structure.offset = uint64_of(object.at("offset"));
  const std::string_view starts = std::string_view(text).substr(std::min(end + 1, text.size()));
  structure.starts.resize(starts.size() / sizeof(std::int64_t));
  if (!starts.empty())
    std::memcpy(structure.starts.data(), starts.data(), structure.starts.size() * sizeof(std::int64_t));
  return structure;
}

}  // namespace

ShardStructure read_foreign_shard(const std::string& path) {
  const std::uint64_t file_bytes = File(path, O_RDONLY).size();
  const std::string text = ask_child(path);
  ShardStructure structure = well_formed(path, [&] { return structure_from(text, path); });
  check_facts(structure.facts, path);
  const auto count = static_cast<std::uint64_t>(structure.tokens);
  CARAVAN_CHECK(
      structure.tokens > 0 && structure.offset <= file_bytes &&
          count <= (file_bytes - structure.offset) / bytes_of(structure.type),
      IoError,
      fmt::format("{}: {} tokens from byte {} do not lie inside the {} bytes of the file. Is it truncated?",
                  path, structure.tokens, structure.offset, file_bytes));
  check_starts(structure.starts, structure.tokens, path);
  return structure;
}

void check_facts(const ShardFacts& facts, const std::string& path) {
  CARAVAN_CHECK(facts.vocab_size > 0 && facts.vocab_size < kMostVocabulary, IoError,
                fmt::format("{}: vocab_size {} (at least 1, below 2^31). Is the file damaged?", path,
                            facts.vocab_size));
}

void check_starts(const std::vector<std::int64_t>& starts, std::int64_t tokens, const std::string& path) {
  std::int64_t before = -1;
  for (std::int64_t start : starts) {
    CARAVAN_CHECK(start > before && start < tokens, IoError,
                  fmt::format("{}: document start {} after {} (starts ascend and lie below the {} tokens). "
                              "Is the file damaged?",
                              path, start, before, tokens));
    before = start;
  }
}

}  // namespace caravan::io
