#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "caravan/device.hpp"
#include "tests/device/problem.hpp"

// Device against reference. A problem is run on both, with every byte outside the operands' elements set to
// 0xFF (a NaN in every float type, −1 in integers), and so are outputs before the call: a read outside shows
// as NaN, a write outside changes a byte, an element that was forgotten differs from the reference.
namespace caravan::testing {

/// Whose operators are compared. Without a device the memory is the host's.
struct Subject {
  Ops& ops;
  Device* device = nullptr;
};

/// Allowed |a − b| / (|b| + size of the terms), b the reference, by storage type of the output. The size is
/// the root mean square of b, or what the problem says about terms that cancel.
double tolerance_of(DType dtype);

/// An operand in the memory of a device, between guards.
class Placed {
 public:
  Placed(const Operand& operand, Device* device);

  TensorView view() const { return view_; }
  /// Row-major elements as they are now; NaN with all bits set where nothing was written.
  std::vector<double> read() const;
  /// Offset in bytes of the first guard or gap byte that is no longer 0xFF, or −1.
  std::int64_t first_damage() const;

 private:
  std::vector<unsigned char> image() const;

  Operand operand_;
  Device* device_;
  std::size_t bytes_;
  std::shared_ptr<void> memory_;
  TensorView view_;
};

/// Runs `problem` on both devices and compares every operand that is written; also that no other byte
/// changed.
::testing::AssertionResult equals_reference(const Problem& problem, const Subject& subject);

}  // namespace caravan::testing
