#include "io/checkpoint/verify.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "io/files/digest.hpp"
#include "io/files/direct_reader.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostNamed = 5;

std::string path_in(const std::string& folder, const FileRecord& record) {
  return (std::filesystem::path(folder) / record.name).string();
}

DirectReader::Use into(Digest& digest) {
  return [&digest](std::span<const std::byte> bytes) { digest.add(bytes); };
}

std::uint64_t structure_digest(const File& file, DirectReader& reader, const FileRecord& record) {
  Digest digest;
  for (const Region& region : regions_of(record)) {
    if (!region.piece) reader.read(file, region.begin, region.end, into(digest));
  }
  return digest.value();
}

void compare_piece(const File& file, DirectReader& reader, const PieceRecord& record,
                   std::vector<Damage>& damages) {
  for (std::size_t block = 0; block < record.blocks.size(); ++block) {
    const std::uint64_t begin = record.offset + block * kBlockBytes;
    const std::uint64_t end = std::min(begin + kBlockBytes, record.end());
    Digest digest;
    reader.read(file, begin, end, into(digest));
    if (digest.value() == record.blocks[block]) continue;
    damages.push_back({file.path(), record.piece.tensor.name, begin, end, other_digest(record, block)});
  }
}

void compare_file(const std::string& folder, const FileRecord& record, Check check, Through through,
                  std::vector<Damage>& damages) {
  const File file = DirectReader::open(path_in(folder, record), through);
  if (file.size() != record.bytes) {
    damages.push_back({file.path(), "", 0, 0,
                       fmt::format("has {} bytes instead of {} ({})", file.size(), record.bytes,
                                   file.size() < record.bytes ? "truncated" : "changed")});
    return;
  }
  DirectReader reader;
  if (structure_digest(file, reader, record) != record.structure)
    damages.push_back({file.path(), "", 0, 0,
                       "is damaged outside its tensors (HDF5's own records do not have their digest)"});
  if (check == Check::structure) return;
  for (const PieceRecord& piece : record.pieces) {
    const bool is_read = check == Check::everything || !piece.piece.tensor.name.starts_with("/optimizer/");
    if (is_read) compare_piece(file, reader, piece, damages);
  }
}

}  // namespace

std::string Damage::text() const {
  if (tensor.empty()) return fmt::format("{} {}", file, why);
  return fmt::format("{} is damaged in {}, bytes {} to {} ({})", file, tensor, begin, end, why);
}

std::uint64_t structure_digest(const std::string& folder, const FileRecord& record) {
  DirectReader reader;
  return structure_digest(DirectReader::open(path_in(folder, record), Through::page_cache), reader, record);
}

std::vector<Damage> find_damage(const std::string& folder, const Manifest& manifest, Check check,
                                Through through) {
  std::vector<Damage> damages;
  for (const FileRecord& record : manifest.files) {
    try {
      compare_file(folder, record, check, through, damages);
    } catch (const IoError& error) {
      damages.push_back(
          {path_in(folder, record), "", 0, 0, fmt::format("cannot be compared: {}", error.what())});
    }
  }
  return damages;
}

void verify_files(const std::string& folder, const Manifest& manifest, Check check, Through through) {
  const auto damages = find_damage(folder, manifest, check, through);
  if (damages.empty()) return;
  std::vector<std::string> texts;
  for (const Damage& damage : damages) {
    if (texts.size() < kMostNamed) texts.push_back(damage.text());
  }
  if (damages.size() > kMostNamed) texts.push_back(fmt::format("{} more", damages.size() - kMostNamed));
  throw IoError(fmt::format("{}", fmt::join(texts, "; ")));
}

}  // namespace caravan::io
