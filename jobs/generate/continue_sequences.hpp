#pragma once

#include <functional>

#include "caravan/comm.hpp"
#include "caravan/device.hpp"
#include "jobs/generate/batcher.hpp"

namespace caravan::jobs {

/// Runs sequences to their ends. Borrows all.
struct Continuation {
  Device& device;
  Decoder& decoder;
  Batcher& batcher;
  Communicator& world;
  /// [every rank] Told of each token as it comes. True: the sequence is over, and gets no more.
  std::function<bool(const Batcher::Drawn&)> take;
  /// Asked before each step; true: leave.
  std::function<bool()> leaves = [] { return false; };
};

/// [collective over world] Every rank feeds the same rows; what rank 0 draws goes for all, whatever rounding
/// makes of their logits. Where the device works while the host does something else, and this rank is alone,
/// each step is posted before the tokens of the one before are looked at. NumericalError with the position
/// where logits are not finite. False: somebody wanted to leave.
bool continue_sequences(const Continuation& all);

}  // namespace caravan::jobs
