#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "io/checkpoint/manifest.hpp"
#include "io/checkpoint/remembered_blocks.hpp"
#include "io/files/direct_reader.hpp"

namespace caravan::io {

/// Reads pieces of a checkpoint's files past HDF5, each block compared with its digest before a byte of it is
/// given away. Whole blocks go straight to their destination; those of which a part was asked for last are
/// remembered, one for each thread, so that ascending reads fetch every block once. Borrows the manifest. Any
/// threads may read at once.
class BlockReader {
 public:
  BlockReader(std::string folder, const Manifest& manifest, Through through);

  /// Bytes [begin, begin + to.size()) of the piece. IoError naming the tensor and the block that is damaged.
  void read(const FileRecord& file, const PieceRecord& piece, std::uint64_t begin, std::span<std::byte> to);

 private:
  const File& open(const FileRecord& record);
  /// Returns the digest of what came.
  std::uint64_t read_from_disk(const File& file, std::uint64_t begin, std::span<std::byte> to);
  void load(const FileRecord& file, const PieceRecord& piece, std::size_t block, std::span<std::byte> to);
  RememberedBlocks::Bytes remembered(const FileRecord& file, const PieceRecord& piece, std::size_t block);

  std::string folder_;
  std::mutex mutex_;                  // of the two that follow
  std::optional<DirectReader> disk_;  // none: through the page cache
  std::map<const FileRecord*, File> files_;
  RememberedBlocks blocks_;
};

}  // namespace caravan::io
