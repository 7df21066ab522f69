#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"

namespace caravan::parallel {

/// What one ticket stands for: the MPI requests of an operation, and the arrays that MPI reads until it has
/// finished.
struct RequestSlot {
  std::vector<MPI_Request> requests;
  std::vector<int> counts;  ///< all_to_all_v: counts and displacements of both directions
  const char* what = "";    ///< name of the operation, for messages
  std::uint32_t generation = 0;
  bool busy = false;
};

/// Tickets to requests. Slots and their vectors are reused, so posting allocates nothing once the deepest
/// overlap was seen.
class RequestSlots {
 public:
  RequestSlots() = default;
  RequestSlots(const RequestSlots&) = delete;  // a slot's first generation comes from this object's address
  RequestSlots& operator=(const RequestSlots&) = delete;

  /// A free slot with no requests. The reference is valid until the next call.
  RequestSlot& acquire(const char* what);
  /// The ticket of the slot that `acquire` returned last.
  Ticket ticket_of_last() const;
  /// The slot behind a pending ticket; CommError when it was waited already or belongs to another group.
  RequestSlot& at(const Ticket& ticket, const std::string& group);
  /// Gives the slot back; its ticket is dead from now on.
  void release(const Ticket& ticket);

  std::size_t pending() const;
  /// "all_reduce, send": what was posted and never waited.
  std::string pending_names() const;
  std::vector<RequestSlot>& all() { return slots_; }

 private:
  std::vector<RequestSlot> slots_;
  std::vector<std::size_t> free_;
  std::size_t last_ = 0;
};

}  // namespace caravan::parallel
