#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "caravan/tensor.hpp"

namespace caravan::parallel {

inline std::byte* at_byte(const TensorView& view, std::int64_t offset) {
  return view.as<std::byte>() + offset;
}

/// Calls visit(begin, count) for consecutive pieces of [0, total), none longer than `most` (at most 2^31 -
/// 1).
template <class Visit>
void in_pieces(std::int64_t total, std::int64_t most, Visit&& visit) {
  for (std::int64_t begin = 0; begin < total; begin += most) {
    visit(begin, static_cast<int>(std::min(most, total - begin)));
  }
}

}  // namespace caravan::parallel
