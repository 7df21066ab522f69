#pragma once

#include "plugins/device/cuda/device/context.hpp"

namespace caravan::cuda {

/// Counters of a launch, zero between launches: of finished blocks, behind is_last_block(), and of claimed
/// work. They serve all operators, because those of a stream run one after the other. From Context::keep.
class Ticket {
 public:
  explicit Ticket(const Context& context);
  ~Ticket();
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

  unsigned* counter() const noexcept { return counter_; }
  unsigned* claimed() const noexcept { return counter_ + kApart; }

 private:
  static constexpr std::size_t kApart = 32;  ///< in another line of the cache

  unsigned* counter_ = nullptr;
};

}  // namespace caravan::cuda
