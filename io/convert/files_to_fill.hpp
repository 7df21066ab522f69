#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "io/convert/flat_file.hpp"
#include "io/files/direct_file.hpp"

namespace caravan::io {

/// Files that stand in a folder, while blocks are written to their places in them: each is open from its
/// first block to its last, and then on the disk. Any threads. Borrows all that it is given.
class FilesToFill {
 public:
  FilesToFill(const std::string& folder, std::span<const FlatFile> files, std::span<const FlatBlock> blocks);
  /// One of the blocks, once.
  void write(const FlatBlock& block, std::span<const std::byte> bytes);

 private:
  struct Filling {
    std::size_t missing = 0;  ///< blocks
    std::unique_ptr<DirectFile> file;
  };
  DirectFile& open(std::size_t file);
  /// The file, if this was its last block.
  std::unique_ptr<DirectFile> count_block(std::size_t file);

  const std::string& folder_;
  std::span<const FlatFile> files_;
  std::mutex mutex_;
  std::vector<Filling> filling_;  ///< of each file
};

}  // namespace caravan::io
