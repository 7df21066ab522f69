#include "core/run/boundary.hpp"

#include <algorithm>
#include <string_view>

#include "caravan/checked.hpp"

namespace caravan {
namespace {

bool test_first(const std::vector<Ticket>& tickets, Communicator& group) {
  const auto pending =
      std::find_if(tickets.begin(), tickets.end(), [](const Ticket& ticket) { return ticket.pending(); });
  if (pending == tickets.end()) return false;
  group.test(*pending);
  return true;
}

}  // namespace

std::size_t Inbox::bytes(int places, DType dtype, const Shape& shape) {
  constexpr std::string_view kWhat = "stage boundaries";
  const std::size_t one = checked_product(static_cast<std::size_t>(shape.count()), size_of(dtype), kWhat);
  return checked_product(static_cast<std::size_t>(places), checked_sum(one, Arena::kAlignment, kWhat), kWhat);
}

Inbox::Inbox(Device& device, int places, DType dtype, const Shape& shape)
    : memory_(device, std::max(bytes(places, dtype, shape), Arena::kAlignment), "stage boundaries"),
      tickets_(static_cast<std::size_t>(places)) {
  for (int place = 0; place < places; ++place) places_.push_back(memory_.take(dtype, shape));
}

void Inbox::post(int place, Communicator& from, int rank, int tag) {
  tickets_[static_cast<std::size_t>(place)] = from.post_recv(at(place), rank, tag);
}

void Inbox::wait(int place, Communicator& from) {
  Ticket& ticket = tickets_[static_cast<std::size_t>(place)];
  if (ticket.pending()) from.wait(ticket);
}

bool Inbox::progress(Communicator& from) {
  return test_first(tickets_, from);
}

void Outbox::post(int set, TensorView data, Communicator& to, int rank, int tag) {
  wait(set, to);
  tickets_[static_cast<std::size_t>(set)] = to.post_send(data, rank, tag);
}

void Outbox::wait(int set, Communicator& to) {
  Ticket& ticket = tickets_[static_cast<std::size_t>(set)];
  if (ticket.pending()) to.wait(ticket);
}

void Outbox::wait_all(Communicator& to) {
  for (std::size_t set = 0; set < tickets_.size(); ++set) wait(static_cast<int>(set), to);
}

bool Outbox::progress(Communicator& to) {
  return test_first(tickets_, to);
}

}  // namespace caravan
