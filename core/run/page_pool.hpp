#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace caravan {

/// Hands out the pages of a cache, the ones given back last first. Knows numbers alone, no memory.
class PagePool {
 public:
  /// Pages 0 … `pages` − 1, all free.
  explicit PagePool(std::int64_t pages);

  std::int64_t free() const noexcept { return std::ssize(free_); }
  std::int64_t size() const noexcept { return std::ssize(is_free_); }
  /// Error where fewer are free: callers ask free() first.
  std::vector<std::int32_t> take(std::int64_t count);
  /// Error naming the page when it does not exist or is free.
  void give_back(std::span<const std::int32_t> pages);

 private:
  std::vector<std::int32_t> free_;  // the next one last
  std::vector<bool> is_free_;
};

}  // namespace caravan
