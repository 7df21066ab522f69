#pragma once

#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// The counter of finished blocks behind is_last_block(), zero between launches. One serves all operators,
/// because those of a stream run one after the other. From Context::keep.
class Ticket {
 public:
  explicit Ticket(const Context& context);
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  unsigned* counter() const noexcept { return counter_; }

 private:
  unsigned* counter_ = nullptr;
};

}  // namespace caravan::cuda
