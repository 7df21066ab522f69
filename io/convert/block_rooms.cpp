#include "io/convert/block_rooms.hpp"

#include <algorithm>

#include "caravan/check.hpp"
#include "io/files/direct_file.hpp"

namespace caravan::io {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{256} << 20;

std::uint64_t largest_of(std::span<const std::uint64_t> blocks) {
  return blocks.empty() ? 1 : std::max<std::uint64_t>(*std::max_element(blocks.begin(), blocks.end()), 1);
}

int rooms_of(std::span<const std::uint64_t> blocks, int threads) {
  const std::uint64_t fit = kMostBytes / largest_of(blocks),
                      most = std::min(static_cast<std::uint64_t>(threads), std::uint64_t{blocks.size()});
  return static_cast<int>(std::max<std::uint64_t>(std::min(fit, most), 1));
}

}  // namespace

BlockRooms::BlockRooms(std::span<const std::uint64_t> blocks, int threads)
    : count_(rooms_of(blocks, threads)), threads_a_block_(std::max(threads / count_, 1)) {
  for (int room = 0; room < count_; ++room) {
    rooms_.emplace_back(largest_of(blocks) + DirectFile::kPage);
    free_.push_back(static_cast<std::size_t>(room));
  }
}

std::size_t BlockRooms::take() {
  const std::lock_guard lock(mutex_);
  CARAVAN_EXPECT(!free_.empty());
  const std::size_t room = free_.back();
  free_.pop_back();
  return room;
}

void BlockRooms::give_back(std::size_t room) {
  const std::lock_guard lock(mutex_);
  free_.push_back(room);
}

std::span<std::byte> BlockRooms::Lease::bytes_for(std::uint64_t offset, std::uint64_t bytes) const {
  return rooms_.rooms_[room_].bytes().subspan(offset % DirectFile::kPage, bytes);
}

}  // namespace caravan::io
