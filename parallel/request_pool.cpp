#include "parallel/request_pool.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::parallel {
namespace {

std::size_t slot_index(const Ticket& ticket) {
  return static_cast<std::size_t>(ticket.id() & 0xffffffffu) - 1;
}
std::uint32_t generation_of(const Ticket& ticket) {
  return static_cast<std::uint32_t>(ticket.id() >> 32);
}

}  // namespace

PostedRequests& RequestPool::acquire(const char* what) {
  if (free_.empty()) {
    free_.push_back(pool_.size());
    // Two groups start at different generations, so that a ticket given to the wrong one is noticed.
    pool_.emplace_back().generation = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(this) >> 4)
                                      << 8;
    free_.reserve(pool_.size());
  }
  last_ = free_.back();
  free_.pop_back();
  PostedRequests& posted = pool_[last_];
  posted.requests.clear();
  posted.what = what;
  posted.busy = true;
  ++posted.generation;
  return posted;
}

Ticket RequestPool::ticket_of_last() const {
  return Ticket((static_cast<std::uint64_t>(pool_[last_].generation) << 32) | (last_ + 1));
}

PostedRequests& RequestPool::at(const Ticket& ticket, const std::string& group) {
  const std::size_t index = slot_index(ticket);
  const bool known =
      index < pool_.size() && pool_[index].busy && pool_[index].generation == generation_of(ticket);
  CARAVAN_CHECK(
      known, CommError,
      fmt::format("ticket {:#x} is not pending on group '{}' (waited twice, or posted on another group)",
                  ticket.id(), group));
  return pool_[index];
}

void RequestPool::release(const Ticket& ticket) {
  const std::size_t index = slot_index(ticket);
  pool_[index].busy = false;
  free_.push_back(index);
}

std::size_t RequestPool::pending() const {
  return pool_.size() - free_.size();
}

std::string RequestPool::pending_names() const {
  std::string names;
  for (const PostedRequests& posted : pool_) {
    if (posted.busy) names += fmt::format("{}{}", names.empty() ? "" : ", ", posted.what);
  }
  return names;
}

}  // namespace caravan::parallel
