#include "io/data/sealed_range.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/digest.hpp"

namespace caravan::io {
RangeRecord seal_range(const File& file, std::uint64_t offset, std::uint64_t bytes) {
  RangeRecord record{offset, bytes, {}};
  std::vector<std::byte> buffer(std::min(bytes, kShardBlockBytes));
  for (std::uint64_t at = 0; at < bytes; at += kShardBlockBytes) {
    const auto block = std::span(buffer).first(std::min(kShardBlockBytes, bytes - at));
    file.read_at(offset + at, block);
    record.blocks.push_back(digest_of(block));
  }
  return record;
}

SealedRange::SealedRange(File file, std::string what, RangeRecord record)
    : file_(std::move(file)),
      what_(std::move(what)),
      record_(std::move(record)),
      is_checked_(record_.blocks.size()) {}

void SealedRange::read(std::uint64_t begin, std::span<std::byte> to) const {
  while (!to.empty()) {
    const auto block = static_cast<std::size_t>(begin / kShardBlockBytes);
    const std::uint64_t from = begin % kShardBlockBytes;
    const auto part = to.first(std::min<std::uint64_t>(to.size(), kShardBlockBytes - from));
    if (block < is_checked_.size() && !is_checked_[block])
      read_first(block, from, part);
    else
      file_.read_at(record_.offset + begin, part);
    begin += part.size();
    to = to.subspan(part.size());
  }
}

/// Reads and compares the whole block. No block is kept: a data set may have thousands of files.
void SealedRange::read_first(std::size_t block, std::uint64_t from, std::span<std::byte> to) const {
  const std::uint64_t offset = record_.offset + block * kShardBlockBytes;
  std::vector<std::byte> bytes(std::min(kShardBlockBytes, record_.bytes - block * kShardBlockBytes));
  file_.read_at(offset, bytes);
  CARAVAN_CHECK(
      digest_of(bytes) == record_.blocks[block], IoError,
      fmt::format("{} is damaged in its {}, bytes {} to {} (the digest of block {} differs from the "
                  "manifest's). Prepare the data again?",
                  file_.path(), what_, offset, offset + bytes.size(), block));
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), to.size(), to.begin());
  is_checked_[block] = true;
}

}  // namespace caravan::io
