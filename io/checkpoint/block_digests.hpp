#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/files/digest.hpp"

namespace caravan::io {

/// Digests of a stretch of bytes that comes in pieces, one for each kBlockBytes.
class BlockDigests {
 public:
  void add(std::span<const std::byte> data);
  /// [once] With the last block, if it was begun.
  std::vector<std::uint64_t> take();

 private:
  void end_block();

  std::vector<std::uint64_t> blocks_;
  Digest digest_;
  std::uint64_t filled_ = 0;  // of the block that is open
};

}  // namespace caravan::io
