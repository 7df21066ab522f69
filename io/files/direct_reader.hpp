#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "io/files/file.hpp"
#include "io/files/huge_pages.hpp"

namespace caravan::io {

/// How bytes come into memory. `page_cache`: for what others on this machine read too, or somebody will read
/// again. `disk`: for what is read once, and for proofs of what the disk holds.
enum class Through { page_cache, disk };

/// Reads stretches of files through a buffer that stays in the processor's own cache; past the page cache
/// where that is wanted and the file system can: what is read once does not push out what others read often,
/// and a fast disk gives three times as much. No thread of its own: reading the next chunk beside the use of
/// this one was measured to be slower than both in turn. One thread.
class DirectReader {
 public:
  using Use = std::function<void(std::span<const std::byte>)>;

  DirectReader() : chunk_(HugePages::kBytes) {}

  /// For `read`. Where O_DIRECT is refused, through the page cache.
  static File open(const std::string& path, Through through);

  /// Gives bytes [begin, end) to `use`, in order and piece by piece. IoError when the file ends before.
  void read(const File& file, std::uint64_t begin, std::uint64_t end, const Use& use);

 private:
  HugePages chunk_;
};

}  // namespace caravan::io
