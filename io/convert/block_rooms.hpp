#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "io/files/huge_pages.hpp"

namespace caravan::io {

/// Memory for the blocks of a conversion that are on their way at once: one for each thread, but of large
/// blocks only as many as fit 256 MiB, and at least one. Any threads.
class BlockRooms {
 public:
  BlockRooms(std::span<const std::uint64_t> blocks, int threads);

  /// How many blocks may be on their way.
  int count() const noexcept { return count_; }
  /// Threads left for each of them.
  int threads_a_block() const noexcept { return threads_a_block_; }

  /// A room, for as long as this lives. No more at once than count().
  class Lease {
   public:
    explicit Lease(BlockRooms& rooms) : rooms_(rooms), room_(rooms.take()) {}
    ~Lease() { rooms_.give_back(room_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

    /// Memory that lies in pages as the bytes at `offset` of a file do, which a disk takes as it is.
    std::span<std::byte> bytes_for(std::uint64_t offset, std::uint64_t bytes) const;

   private:
    BlockRooms& rooms_;
    std::size_t room_;
  };

 private:
  std::size_t take();
  void give_back(std::size_t room);

  int count_, threads_a_block_;
  std::vector<HugePages> rooms_;
  std::mutex mutex_;  // of the free ones
  std::vector<std::size_t> free_;
};

}  // namespace caravan::io
