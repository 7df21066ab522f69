#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "caravan/device.hpp"
#include "caravan/parameter.hpp"

namespace caravan::jobs {

/// The tables that a model's attention rotates by, row by row a position. Lets rows stand for other
/// positions. Borrows device and store, which must be allocated and prepared.
class RotationRows {
 public:
  /// IoError when the model adds sinusoids to its embedding instead: they are not for the taking.
  RotationRows(Device& device, const ParameterStore& parameters);

  /// Row first + i rotates as position positions[i] until the next call of `restore`. Both must be rows of
  /// the tables. A model without rotation has none, and nothing happens.
  void place(std::int64_t first, std::span<const std::int64_t> positions);
  void restore();

 private:
  struct Table {
    TensorView rows;  ///< [P, D/2] on the device
    std::vector<float> values;
  };
  void write(const Table& table, std::int64_t first, std::span<const float> values);

  Device& device_;
  std::vector<Table> tables_;
  std::int64_t first_ = 0, count_ = 0;  ///< rows that stand for other positions
};

}  // namespace caravan::jobs
