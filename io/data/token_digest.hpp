#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "io/files/digest.hpp"

namespace caravan::io {

/// What DataIdentity calls a digest, of tokens and of where documents begin. The same for the same documents,
/// wherever they lie and however they are cut into files.
class TokenDigest {
 public:
  void add_tokens(std::span<const std::int32_t> tokens) { tokens_.add(std::as_bytes(tokens)); }
  void add_starts(std::span<const std::int64_t> starts) { starts_.add(std::as_bytes(starts)); }
  /// "xxh3:0123456789abcdef"
  std::string text() const;

 private:
  Digest tokens_, starts_;
};

}  // namespace caravan::io
