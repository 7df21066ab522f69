#include "io/data/token_digest.hpp"

#include <array>

namespace caravan::io {

std::string TokenDigest::text() const {
  const std::array<std::uint64_t, 2> both{tokens_.value(), starts_.value()};
  return "xxh3:" + digest_text(std::as_bytes(std::span(both)));
}

}  // namespace caravan::io
