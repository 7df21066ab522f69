#include "parallel/request_slots.hpp"

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

RequestSlot& RequestSlots::acquire(const char* what) {
  if (free_.empty()) {
    free_.push_back(slots_.size());
    // Two groups start at different generations, so that a ticket given to the wrong one is noticed.
    slots_.emplace_back().generation = static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(this) >> 4)
                                       << 8;
    free_.reserve(slots_.size());
  }
  last_ = free_.back();
  free_.pop_back();
  RequestSlot& slot = slots_[last_];
  slot.requests.clear();
  slot.counts.clear();
  slot.what = what;
  slot.busy = true;
  ++slot.generation;
  return slot;
}

Ticket RequestSlots::ticket_of_last() const {
  return Ticket((static_cast<std::uint64_t>(slots_[last_].generation) << 32) | (last_ + 1));
}

RequestSlot& RequestSlots::at(const Ticket& ticket, const std::string& group) {
  const std::size_t index = slot_index(ticket);
  const bool known =
      index < slots_.size() && slots_[index].busy && slots_[index].generation == generation_of(ticket);
  CARAVAN_CHECK(
      known, CommError,
      fmt::format("ticket {:#x} is not pending on group '{}' (waited twice, or posted on another group)",
                  ticket.id(), group));
  return slots_[index];
}

void RequestSlots::release(const Ticket& ticket) {
  const std::size_t index = slot_index(ticket);
  slots_[index].busy = false;
  free_.push_back(index);
}

std::size_t RequestSlots::pending() const {
  return slots_.size() - free_.size();
}

std::string RequestSlots::pending_names() const {
  std::string names;
  for (const RequestSlot& slot : slots_) {
    if (slot.busy) names += fmt::format("{}{}", names.empty() ? "" : ", ", slot.what);
  }
  return names;
}

}  // namespace caravan::parallel
