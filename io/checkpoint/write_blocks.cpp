#include "io/checkpoint/write_blocks.hpp"

#include <algorithm>
#include <future>

#include "io/checkpoint/block_digests.hpp"
#include "io/checkpoint/manifest.hpp"
#include "io/files/digest.hpp"
#include "io/files/pack.hpp"

namespace caravan::io {
namespace {

// A thread costs about 20 microseconds, a digest of a MiB 100.
constexpr std::size_t kWorthAThread = std::size_t{1} << 20;

std::uint64_t write_block(DirectFile& file, std::uint64_t offset, std::span<const std::byte> block) {
  const auto policy = block.size() >= kWorthAThread ? std::launch::async : std::launch::deferred;
  auto digest = std::async(policy, [block] { return digest_of(block); });
  file.write_at(offset, block);
  return digest.get();
}

std::vector<std::uint64_t> write_whole(DirectFile& file, std::uint64_t offset,
                                       std::span<const std::byte> bytes) {
  std::vector<std::uint64_t> digests;
  while (!bytes.empty()) {
    const auto block = bytes.first(std::min<std::uint64_t>(bytes.size(), kBlockBytes));
    digests.push_back(write_block(file, offset, block));
    offset += block.size();
    bytes = bytes.subspan(block.size());
  }
  return digests;
}

}  // namespace

std::vector<std::uint64_t> write_blocks(DirectFile& file, std::uint64_t offset, const TensorView& elements) {
  if (elements.contiguous()) return write_whole(file, offset, bytes_of(elements));
  BlockDigests digests;
  for_each_packed(elements, [&](std::span<const std::byte> run) {
    digests.add(run);
    file.write_at(offset, run);
    offset += run.size();
  });
  return digests.take();
}

}  // namespace caravan::io
