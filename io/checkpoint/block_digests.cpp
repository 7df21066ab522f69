#include "io/checkpoint/block_digests.hpp"

#include <algorithm>

#include "io/checkpoint/manifest.hpp"

namespace caravan::io {

void BlockDigests::add(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto part = data.first(std::min<std::uint64_t>(data.size(), kBlockBytes - filled_));
    digest_.add(part);
    filled_ += part.size();
    if (filled_ == kBlockBytes) end_block();
    data = data.subspan(part.size());
  }
}

std::vector<std::uint64_t> BlockDigests::take() {
  if (filled_ > 0) end_block();
  return std::move(blocks_);
}

void BlockDigests::end_block() {
  blocks_.push_back(digest_.value());
  digest_ = Digest();
  filled_ = 0;
}

}  // namespace caravan::io
