#pragma once

#include <cstddef>
#include <span>

#include "caravan/device.hpp"

namespace caravan::jobs {

/// Host memory that the device reaches at the speed of its bus while this lives; borrows both. Where the
/// system refuses, which is a warning, copies are several times slower and otherwise the same.
class PinnedMemory {
 public:
  PinnedMemory(Device& device, std::span<std::byte> memory);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

 private:
  Device& device_;
  std::span<std::byte> memory_;
  bool is_pinned_ = false;
};

}  // namespace caravan::jobs
