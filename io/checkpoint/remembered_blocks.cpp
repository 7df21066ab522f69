#include "io/checkpoint/remembered_blocks.hpp"

#include <algorithm>

namespace caravan::io {

void RememberedBlocks::count(int change) {
  const std::lock_guard lock(mutex_);
  readers_ += change;
  most_ = std::max(most_, static_cast<std::size_t>(readers_));
}

void RememberedBlocks::forget(const PieceRecord* piece, std::size_t block) {
  const std::lock_guard lock(mutex_);
  entries_.remove_if([&](const Entry& entry) { return entry.piece == piece && entry.block == block; });
}

std::optional<std::shared_future<RememberedBlocks::Bytes>> RememberedBlocks::find_or_add(
    const PieceRecord* piece, std::size_t block, std::promise<Bytes>& promise) {
  const std::lock_guard lock(mutex_);
  const auto known = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.piece == piece && entry.block == block;
  });
  if (known != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, known);
    return known->bytes;
  }
  while (entries_.size() >= most_) entries_.pop_back();  // before the new one takes memory
  entries_.push_front({piece, block, promise.get_future().share()});
  return std::nullopt;
}

RememberedBlocks::Bytes RememberedBlocks::get(const PieceRecord* piece, std::size_t block, const Load& load) {
  std::promise<Bytes> promise;
  if (const auto known = find_or_add(piece, block, promise)) return known->get();
  try {
    Bytes bytes = load();
    promise.set_value(bytes);
    return bytes;
  } catch (...) {
    promise.set_exception(std::current_exception());
    forget(piece, block);
    throw;
  }
}

}  // namespace caravan::io
