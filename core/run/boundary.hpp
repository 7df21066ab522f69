#pragma once

#include <vector>

#include "caravan/arena.hpp"
#include "caravan/comm.hpp"

namespace caravan {

/// Places for what comes into a stage from one side (its inputs, or the gradients of its outputs), and the
/// receives that are on their way into them. Owns the memory.
class Inbox {
 public:
  /// `places` tensors.
  Inbox(Device& device, int places, DType dtype, const Shape& shape);

  TensorView at(int place) const { return places_[static_cast<std::size_t>(place)]; }
  void post(int place, Communicator& from, int rank, int tag);
  /// Returns when the place holds what was posted for it; at once when nothing was.
  void wait(int place, Communicator& from);
  /// Lets one transfer advance; false when none is under way.
  bool progress(Communicator& from);

  static std::size_t bytes(int places, DType dtype, const Shape& shape);

 private:
  Arena memory_;
  std::vector<TensorView> places_;
  std::vector<Ticket> tickets_;
};

/// Sends that are on their way out of the sets of a stage. What is sent lives in the stash: a set is not
/// written again before its send is over.
class Outbox {
 public:
  explicit Outbox(int sets) : tickets_(static_cast<std::size_t>(sets)) {}
  void post(int set, TensorView data, Communicator& to, int rank, int tag);
  void wait(int set, Communicator& to);
  void wait_all(Communicator& to);
  bool progress(Communicator& to);

 private:
  std::vector<Ticket> tickets_;
};

}  // namespace caravan
