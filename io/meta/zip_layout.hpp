#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace caravan::io {

/// A file that is to lie in an archive as it is.
struct ZipMember {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint64_t header = 0, begin = 0;  ///< where its header and its bytes lie; lay_out_zip sets them
};

/// Where everything of an archive lies, with numbers of 64 bits throughout.
struct ZipLayout {
  std::vector<ZipMember> members;
  std::uint64_t directory = 0, bytes = 0;  ///< where the directory begins, and the archive ends
};

/// Members in their order, each starting on a multiple of 64 bytes, as torch lays out its own.
ZipLayout lay_out_zip(std::vector<ZipMember> members);

std::uint32_t crc32_of(std::string_view bytes);
/// Of two stretches one behind the other, the second of so many bytes.
std::uint32_t crc32_of_both(std::uint32_t first, std::uint32_t second, std::uint64_t bytes_of_second);

/// What stands before a member, which has this checksum.
std::string zip_header(const ZipMember& member, std::uint32_t crc);
/// What stands behind all members.
std::string zip_directory(const ZipLayout& layout, std::span<const std::uint32_t> crcs);

}  // namespace caravan::io
