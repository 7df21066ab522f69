#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "io/files/file.hpp"
#include "io/files/huge_pages.hpp"

namespace caravan::io {

/// Reads stretches of files past the page cache where the file system can, through a buffer that stays in the
/// processor's own cache: what is read once does not push out what others read often, and a fast disk gives
/// three times as much. No thread of its own: reading the next chunk beside the use of this one was measured
/// to be slower than both in turn.
class DirectReader {
 public:
  using Use = std::function<void(std::span<const std::byte>)>;

  DirectReader() : chunk_(HugePages::kBytes) {}

  /// For `read`: with O_DIRECT, or without where that is refused.
  static File open(const std::string& path);

  /// Gives bytes [begin, end) to `use`, in order and piece by piece. IoError when the file ends before.
  void read(const File& file, std::uint64_t begin, std::uint64_t end, const Use& use) const;

 private:
  HugePages chunk_;
};

}  // namespace caravan::io
