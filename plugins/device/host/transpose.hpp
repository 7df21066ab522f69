#pragma once

#include "vec.hpp"

namespace caravan::host {

/// Swaps the off-diagonal blocks of kBit × kBit lanes of every pair of rows that differ in kBit.
template <int kBit>
CARAVAN_INLINE void exchange(Vec (&rows)[kLanes]) {
  IntVec low, high;
  for (int lane = 0; lane < kLanes; ++lane) {
    low[lane] = lane & kBit ? kLanes + (lane ^ kBit) : lane;
    high[lane] = lane & kBit ? kLanes + lane : lane | kBit;
  }
#pragma GCC unroll 16
  for (int r = 0; r < kLanes; ++r) {
    if (r & kBit) continue;
    const Vec a = rows[r], b = rows[r | kBit];
    rows[r] = __builtin_shuffle(a, b, low);
    rows[r | kBit] = __builtin_shuffle(a, b, high);
  }
}

/// Lane j of row i becomes lane i of row j.
CARAVAN_INLINE void transpose(Vec (&rows)[kLanes]) {
  if constexpr (kLanes > 8) exchange<8>(rows);
  if constexpr (kLanes > 4) exchange<4>(rows);
  exchange<2>(rows);
  exchange<1>(rows);
}

}  // namespace caravan::host
