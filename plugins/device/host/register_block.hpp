#pragma once

#include <cstdint>

#include "vec.hpp"

// The one inner loop of all products here: rows broadcast from `a` times vectors of `b`, summed in registers.
namespace caravan::host {

/// Rows of a register block: 12·2 sums, 2 vectors of b and a broadcast fill 32 registers, 6·2 fill 16.
inline constexpr int kPanel = kVectorRegisters == 32 ? 12 : 6;

template <int Rows, int Vectors>
using Block = Vec[Rows][Vectors];

template <int Rows, int Vectors>
CARAVAN_INLINE void clear(Block<Rows, Vectors>& sums) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 4
    for (int n = 0; n < Vectors; ++n) sums[m][n] = Vec{};
  }
}

template <int Rows, int Vectors>
CARAVAN_INLINE void load_block(Block<Rows, Vectors>& sums, const float* from, std::int64_t stride) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) sums[m][n] = load(from + m * stride + n * kLanes);
  }
}

template <int Rows, int Vectors>
CARAVAN_INLINE void store_block(const Block<Rows, Vectors>& sums, float* to, std::int64_t stride) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Vectors; ++n) store(to + m * stride + n * kLanes, sums[m][n]);
  }
}

/// a(m, k) is a[m·row + k·step].
struct Broadcasts {
  const float* data;
  std::int64_t row, step;
};
/// Vectors of depth k start at data + k·step.
struct Vectors {
  const float* data;
  std::int64_t step;
};

/// sums[m][n] += Σ_k a(m, k)·b(k)[n] for a depth that is a multiple of Unroll.
template <int Unroll, int Rows, int Columns>
CARAVAN_INLINE void multiply_add(Block<Rows, Columns>& sums, std::int64_t depth, Broadcasts a, Vectors b) {
  for (std::int64_t begin = 0; begin < depth; begin += Unroll) {
#pragma GCC unroll 16
    for (int k = 0; k < Unroll; ++k, a.data += a.step, b.data += b.step) {
      Vec right[Columns];
#pragma GCC unroll 2
      for (int n = 0; n < Columns; ++n) right[n] = load(b.data + n * kLanes);
#pragma GCC unroll 16
      for (int m = 0; m < Rows; ++m) {
        const Vec left = broadcast(a.data[m * a.row]);
#pragma GCC unroll 2
        for (int n = 0; n < Columns; ++n) sums[m][n] += left * right[n];
      }
    }
  }
}

}  // namespace caravan::host
