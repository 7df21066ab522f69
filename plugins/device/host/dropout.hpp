#pragma once

#include <cstdint>

#include "caravan/random.hpp"

namespace caravan::host {

/// `count` neighbouring elements of one row of a stream.
struct StreamPart {
  std::uint64_t row, first_column;
  std::int64_t count;
};

/// factors[i] = dropout_factor(key, row, first_column + i, probability), eight counters of Philox at a time.
void dropout_factors(RandomKey key, const StreamPart& part, float probability, float* factors);

}  // namespace caravan::host
