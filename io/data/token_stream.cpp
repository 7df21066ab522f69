#include "io/data/token_stream.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "io/data/token_digest.hpp"
#include "io/text/tokenizer_files.hpp"

namespace caravan::io {

void MemoryTokens::read(std::int64_t begin, std::span<std::int32_t> out) const {
  const auto count = static_cast<std::int64_t>(out.size());
  CARAVAN_CHECK(begin >= 0 && count <= size() && begin <= size() - count, IoError,
                fmt::format("{} tokens cannot give {} from {} on", size(), count, begin));
  std::copy_n(tokens_.begin() + begin, out.size(), out.begin());
}

DataIdentity MemoryTokens::identity() const {
  TokenDigest digest;
  digest.add_tokens(tokens_);
  digest.add_starts(starts_);
  DataIdentity identity{digest.text(), "", tokenizer_, size()};
  if (!tokenizer_.empty()) identity.tokenizer_digest = tokenizer_digest(tokenizer_);
  return identity;
}

}  // namespace caravan::io
