#include "core/run/page_pool.hpp"

#include <fmt/format.h>

#include <numeric>

#include "caravan/check.hpp"

namespace caravan {

PagePool::PagePool(std::int64_t pages)
    : free_(static_cast<std::size_t>(pages)), is_free_(static_cast<std::size_t>(pages), true) {
  std::iota(free_.rbegin(), free_.rend(), 0);
}

std::vector<std::int32_t> PagePool::take(std::int64_t count) {
  CARAVAN_CHECK(count >= 0 && count <= free(), Error,
                fmt::format("{} pages wanted ({} of {} are free)", count, free(), size()));
  std::vector<std::int32_t> taken(free_.rbegin(), free_.rbegin() + count);
  free_.resize(free_.size() - taken.size());
  for (const std::int32_t page : taken) is_free_[static_cast<std::size_t>(page)] = false;
  return taken;
}

void PagePool::give_back(std::span<const std::int32_t> pages) {
  for (auto page = pages.rbegin(); page != pages.rend(); ++page) {
    CARAVAN_CHECK(*page >= 0 && *page < size() && !is_free_[static_cast<std::size_t>(*page)], Error,
                  fmt::format("page {} comes back (not one of {} that is taken)", *page, size()));
    is_free_[static_cast<std::size_t>(*page)] = true;
    free_.push_back(*page);
  }
}

}  // namespace caravan
