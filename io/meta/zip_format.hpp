#pragma once

#include <cstddef>
#include <cstdint>

// Numbers of PKWARE's APPNOTE.TXT that the reader and the writer share.
namespace caravan::io::zip {

inline constexpr std::uint64_t kLocal = 0x04034B50, kCentral = 0x02014B50, kEnd = 0x06054B50,
                               kEnd64 = 0x06064B50, kLocator64 = 0x07064B50, kDescriptor = 0x08074B50;
inline constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                             kLocator64Bytes = 20, kDescriptorBytes = 16, kDescriptor64Bytes = 24;
inline constexpr std::uint64_t kNarrow = 0xFFFFFFFF;  ///< look into the zip64 field instead
inline constexpr std::uint64_t kField64 = 1;          ///< id of that extra field

}  // namespace caravan::io::zip
