#include "io/checkpoint/block_reader.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "caravan/check.hpp"
#include "io/files/digest.hpp"

namespace caravan::io {
namespace {

// So many files are open from the start, so that a reader keeps what a run in training prunes meanwhile. Of
// more (a process may have about a thousand) each is opened when it is needed.
constexpr std::size_t kMostHeld = 512;

std::uint64_t bytes_of_block(const PieceRecord& record, std::size_t block) {
  return std::min(kBlockBytes, record.piece.bytes() - block * kBlockBytes);
}

/// The disk fetches the next block while this one is compared.
void ask_for(const File& file, const PieceRecord& record, std::size_t block) {
  if (block >= record.blocks.size()) return;
  ::posix_fadvise(file.descriptor(), static_cast<off_t>(record.offset + block * kBlockBytes),
                  static_cast<off_t>(bytes_of_block(record, block)), POSIX_FADV_WILLNEED);
}

/// Returns the digest of what came.
std::uint64_t read_cached(const File& file, const PieceRecord& piece, std::size_t block,
                          std::span<std::byte> to) {
  ask_for(file, piece, block + 1);
  file.read_at(piece.offset + block * kBlockBytes, to);
  return digest_of(to);
}

}  // namespace

BlockReader::BlockReader(std::string folder, const Manifest& manifest, Through through)
    : folder_(std::move(folder)) {
  if (through == Through::disk) disk_.emplace();
  for (const FileRecord& record : manifest.files) {
    regions_of(record);  // refuses what overlaps or lies outside
    if (manifest.files.size() <= kMostHeld) open(record);
  }
}

const File& BlockReader::open(const FileRecord& record) {
  const std::lock_guard lock(mutex_);
  const auto found = files_.find(&record);
  if (found != files_.end()) return found->second;
  const std::string path = (std::filesystem::path(folder_) / record.name).string();
  return files_.emplace(&record, DirectReader::open(path, disk_ ? Through::disk : Through::page_cache))
      .first->second;
}

std::uint64_t BlockReader::read_from_disk(const File& file, std::uint64_t begin, std::span<std::byte> to) {
  const std::lock_guard lock(mutex_);
  Digest digest;
  disk_->read(file, begin, begin + to.size(), [&](std::span<const std::byte> chunk) {
    digest.add(chunk);
    std::memcpy(to.data(), chunk.data(), chunk.size());
    to = to.subspan(chunk.size());
  });
  return digest.value();
}

void BlockReader::load(const FileRecord& record, const PieceRecord& piece, std::size_t block,
                       std::span<std::byte> to) {
  const File& file = open(record);
  const std::uint64_t begin = piece.offset + block * kBlockBytes;
  const std::uint64_t digest = disk_ ? read_from_disk(file, begin, to) : read_cached(file, piece, block, to);
  CARAVAN_CHECK(digest == piece.blocks[block], IoError,
                fmt::format("{} is damaged in {}, bytes {} to {} ({})", file.path(), piece.piece.tensor.name,
                            begin, begin + to.size(), other_digest(piece, block)));
}

RememberedBlocks::Bytes BlockReader::remembered(const FileRecord& file, const PieceRecord& piece,
                                                std::size_t block) {
  return blocks_.get(&piece, block, [&] {
    const std::uint64_t bytes = bytes_of_block(piece, block);
    auto read = std::make_shared_for_overwrite<std::byte[]>(bytes);
    load(file, piece, block, {read.get(), bytes});
    return read;
  });
}

void BlockReader::read(const FileRecord& file, const PieceRecord& piece, std::uint64_t begin,
                       std::span<std::byte> to) {
  const std::uint64_t all = piece.piece.bytes();
  CARAVAN_CHECK(begin <= all && to.size() <= all - begin, IoError,
                fmt::format("{} has {} bytes (bytes {} to {} were asked for)", piece.piece.tensor.name, all,
                            begin, begin + to.size()));
  const RememberedBlocks::Reader reader(blocks_);
  while (!to.empty()) {
    const auto block = static_cast<std::size_t>(begin / kBlockBytes);
    const std::uint64_t bytes = bytes_of_block(piece, block), from = begin % kBlockBytes;
    const std::size_t wanted = std::min<std::uint64_t>(to.size(), bytes - from);
    if (wanted == bytes) {
      load(file, piece, block, to.first(wanted));
    } else {
      std::memcpy(to.data(), remembered(file, piece, block).get() + from, wanted);
    }
    begin += wanted;
    to = to.subspan(wanted);
  }
}

}  // namespace caravan::io
