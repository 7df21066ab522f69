#include "io/data/token_stream.hpp"

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::io {

void MemoryTokens::read(std::int64_t begin, std::span<std::int32_t> out) const {
  CARAVAN_EXPECT(begin >= 0 && begin + static_cast<std::int64_t>(out.size()) <= size());
  std::copy_n(tokens_.begin() + begin, out.size(), out.begin());
}

}  // namespace caravan::io
