#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace caravan::io {

/// Bytes that come one after the other, however many they are.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills the front of `to`, which must not be empty. How many bytes came; 0 at the end. IoError when they
  /// cannot be read.
  virtual std::size_t read(std::span<std::byte> to) = 0;
};

/// What names standard input.
inline constexpr const char* kStandardInput = "-";

/// The bytes of a regular file, or of standard input. What begins like gzip or zstd is decompressed as it is
/// read, whatever its name; IoError for what is compressed in a way that this build does not read, and, while
/// reading, for compressed data that is damaged or cut.
std::unique_ptr<ByteSource> open_bytes(const std::string& path);

/// The bytes of a regular file as they are.
std::unique_ptr<ByteSource> open_plain_file(const std::string& path);

/// "standard input" for `kStandardInput`; the path itself otherwise.
std::string spoken_name(const std::string& path);

/// Fills `to` as far as bytes come; how many.
std::size_t read_fully(ByteSource& source, std::span<std::byte> to);

}  // namespace caravan::io
