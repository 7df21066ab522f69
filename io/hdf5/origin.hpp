#pragma once

#include <array>
#include <cstdint>

#include "caravan/tensor.hpp"

namespace caravan::io::h5 {

/// Where a block of a dataset begins, axis by axis.
using Origin = std::array<std::int64_t, Shape::kMaxRank>;

}  // namespace caravan::io::h5
