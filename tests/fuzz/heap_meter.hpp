#pragma once

#include <cstddef>

namespace caravan::fuzz {

/// What the process takes from the heap, by whichever library, beyond what it had when this was made.
/// AddressSanitizer tells it where there is one; elsewhere malloc and its kin are replaced in the executable
/// that links this. One at a time.
class HeapMeter {
 public:
  HeapMeter();
  ~HeapMeter();
  HeapMeter(const HeapMeter&) = delete;
  HeapMeter& operator=(const HeapMeter&) = delete;

  /// The most bytes at once so far.
  std::size_t peak() const;
};

}  // namespace caravan::fuzz
