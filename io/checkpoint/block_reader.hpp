#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/checkpoint/manifest.hpp"
#include "io/files/direct_reader.hpp"

namespace caravan::io {

/// Reads pieces of a checkpoint's files past HDF5, each block compared with its digest before a byte of it is
/// given away. Whole blocks go straight to their destination; the last part of a block that was asked for is
/// remembered, so that ascending reads fetch every block once. Borrows the manifest. One thread.
class BlockReader {
 public:
  BlockReader(std::string folder, const Manifest& manifest, Through through);

  /// Bytes [begin, begin + to.size()) of the piece. IoError naming the tensor and the block that is damaged.
  void read(const FileRecord& file, const PieceRecord& piece, std::uint64_t begin, std::span<std::byte> to);

 private:
  const File& open(const FileRecord& record);
  void load(const FileRecord& file, const PieceRecord& piece, std::size_t block, std::span<std::byte> to);
  std::span<const std::byte> remembered(const FileRecord& file, const PieceRecord& piece, std::size_t block);

  std::string folder_;
  std::optional<DirectReader> disk_;  // none: through the page cache
  std::map<const FileRecord*, File> files_;
  std::vector<std::byte> buffer_;
  const PieceRecord* held_piece_ = nullptr;  // whose block is in the buffer
  std::size_t held_block_ = 0;
};

}  // namespace caravan::io
