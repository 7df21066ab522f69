#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "jobs/inspect/box.hpp"

namespace caravan::jobs {

/// Reads boxes in blocks of at most 4 MiB, so that memory does not grow with tensors.
class ValueStream {
 public:
  explicit ValueStream(const TensorSource& source) : source_(source) {}

  /// Blocks in the stored type, in row-major order of the box; `first` counts the elements before one. A view
  /// is valid during its visit.
  using BlockAction = std::function<void(const Block& block, std::uint64_t first)>;
  void for_each_stored(const TensorEntry& tensor, const Box& box, const BlockAction& action);

  /// The same as double, in pieces that stay in cache.
  using ValueAction = std::function<void(std::span<const double> values, std::uint64_t first)>;
  void for_each_value(const TensorEntry& tensor, const Box& box, const ValueAction& action);

 private:
  const TensorSource& source_;
  std::vector<std::byte> block_;
  std::vector<double> values_;
};

/// How many of them a block holds at most.
std::int64_t elements_a_block(io::NumberType element);

/// Gives the elements of a block as double, piece by piece; whole numbers above 2^53 are rounded.
/// `room` is reused.
void for_each_piece(const Block& block, std::vector<double>& room,
                    const std::function<void(std::span<const double> values, std::uint64_t first)>& action);

/// The elements from `first` on.
void to_double(const Block& block, std::uint64_t first, std::span<double> to);

}  // namespace caravan::jobs
