#pragma once

#include <span>
#include <string>

namespace caravan::testing {

/// Counts what this process takes from the heap, by whichever library, while one lives. malloc and its kin
/// are replaced in the executable that links this. One at a time.
class AllocationCount {
 public:
  /// Leaves out what is taken on behalf of functions or libraries whose name contains one of `except` (static
  /// storage).
  explicit AllocationCount(std::span<const char* const> except = {});
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  long count() const;
  /// Who called for the first one, innermost first; "" when there was none. Ends the counting.
  std::string first_caller();
};

}  // namespace caravan::testing
