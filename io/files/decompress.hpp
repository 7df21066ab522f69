#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/files/byte_source.hpp"

namespace caravan::io {

/// Compressed bytes in pieces, for a decompressor that asks for more when it has used up what it has.
class PackedInput {
 public:
  /// `name`: what messages call it.
  PackedInput(std::unique_ptr<ByteSource> packed, std::string name);

  const std::string& name() const noexcept { return name_; }
  /// What is not used yet; fetches when that is nothing. Empty at the end.
  std::span<const std::byte> rest();
  void use(std::size_t bytes) { rest_ = rest_.subspan(bytes); }

 private:
  std::unique_ptr<ByteSource> packed_;
  std::string name_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> rest_;
};

/// Members of gzip one after the other. IoError when data is damaged, ends early, or is followed by something
/// else.
std::unique_ptr<ByteSource> decompress_gzip(std::unique_ptr<ByteSource> packed, const std::string& name);

/// Frames of zstd one after the other, with windows up to 128 MiB. IoError as for gzip, and always in a build
/// without libzstd.
std::unique_ptr<ByteSource> decompress_zstd(std::unique_ptr<ByteSource> packed, const std::string& name);

}  // namespace caravan::io
