#pragma once

#include <cstddef>
#include <functional>
#include <future>
#include <list>
#include <memory>
#include <mutex>
#include <optional>

namespace caravan::io {

struct PieceRecord;

/// The blocks that were asked for last, as many as threads have read at once: neighbours that meet within a
/// block read it once between them. Any threads.
class RememberedBlocks {
 public:
  using Bytes = std::shared_ptr<const std::byte[]>;
  using Load = std::function<Bytes()>;

  /// Counts a thread that reads, while it lives.
  class Reader {
   public:
    explicit Reader(RememberedBlocks& blocks) : blocks_(blocks) { blocks_.count(1); }
    ~Reader() { blocks_.count(-1); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

   private:
    RememberedBlocks& blocks_;
  };

  /// The block, which `load` reads where it is not remembered; another thread that asks for it meanwhile
  /// waits. What `load` throws reaches all of them, and the next who asks tries again.
  Bytes get(const PieceRecord* piece, std::size_t block, const Load& load);

 private:
  struct Entry {
    const PieceRecord* piece;
    std::size_t block;
    std::shared_future<Bytes> bytes;
  };
  void count(int change);
  /// Where the block is remembered or on its way; otherwise nothing, and `promise` stands for it from now on.
  std::optional<std::shared_future<Bytes>> find_or_add(const PieceRecord* piece, std::size_t block,
                                                       std::promise<Bytes>& promise);
  void forget(const PieceRecord* piece, std::size_t block);

  std::mutex mutex_;          // of everything below
  std::list<Entry> entries_;  // the newest first
  int readers_ = 0;
  std::size_t most_ = 1;
};

}  // namespace caravan::io
