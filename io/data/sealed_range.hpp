#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/files/file.hpp"

namespace caravan::io {

/// Tokens are checked in blocks of this size: the first sample of a block reads all of it, so that more would
/// make the start of a shuffled pass slow, and less would make manifests large.
inline constexpr std::uint64_t kShardBlockBytes = std::uint64_t{1} << 20;

/// Bytes of a file that belong together, and the XXH3-64 of each block of them; the last may be shorter.
/// Without blocks nobody vouches for them.
struct RangeRecord {
  std::uint64_t offset = 0, bytes = 0;
  std::vector<std::uint64_t> blocks;

  std::uint64_t end() const { return offset + bytes; }
};

/// The record of [offset, offset + bytes) as it stands in the file.
RangeRecord seal_range(const File& file, std::uint64_t offset, std::uint64_t bytes);

/// A range of a file that is compared with its record as it is read: a block once, when a byte of it is first
/// asked for, and before one is given. Nothing is mapped, so a file that was cut meanwhile is an IoError. One
/// thread.
class SealedRange {
 public:
  SealedRange(File file, std::string what, RangeRecord record);

  const std::string& path() const noexcept { return file_.path(); }
  /// Bytes [begin, begin + to.size()) of the range. IoError naming the file and its damaged block.
  void read(std::uint64_t begin, std::span<std::byte> to) const;

 private:
  void read_first(std::size_t block, std::uint64_t from, std::span<std::byte> to) const;

  File file_;
  std::string what_;
  RangeRecord record_;
  mutable std::vector<char> is_checked_;  // of each block
};

}  // namespace caravan::io
