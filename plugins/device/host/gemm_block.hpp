#pragma once

#include <algorithm>
#include <cstdint>

#include "gemm.hpp"
#include "register_block.hpp"

namespace caravan::host {

inline constexpr int kBlockVectors = 2;
inline constexpr int kBlockColumns = kBlockVectors * kLanes;

/// What a register block reads: element (k, i) is data[k·step + i], and panels lie `next` apart.
struct Panels {
  const float* data;
  std::int64_t step, next;
};

/// Rows × Columns vectors of the result. Its lines are asked for before they are needed.
template <int Rows, int Columns>
CARAVAN_INLINE void whole_block(std::int64_t depth, const Panels& a, const Panels& b, const Output& to) {
#pragma GCC unroll 16
  for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
    for (int n = 0; n < Columns; ++n) __builtin_prefetch(to.data + m * to.stride + n * kLanes, 1);
  }
  Block<Rows, Columns> sums;
  clear(sums);
  multiply_add<1>(sums, depth, {a.data, 1, a.step}, {b.data, b.step});
  if (to.result == Result::accumulate) {
#pragma GCC unroll 16
    for (int m = 0; m < Rows; ++m) {
#pragma GCC unroll 2
      for (int n = 0; n < Columns; ++n) sums[m][n] += load(to.data + m * to.stride + n * kLanes);
    }
  }
  store_block(sums, to.data, to.stride);
}

/// The same at an edge of the result, where some of the rows or columns do not exist.
template <int Rows, int Columns>
void part_of_block(const Product& size, const Panels& a, const Panels& b, const Output& to) {
  constexpr int kColumns = Columns * kLanes;
  alignas(64) float block[Rows * kColumns];
  whole_block<Rows, Columns>(size.depth, a, b, {block, kColumns});
  const std::int64_t rows = std::min<std::int64_t>(size.rows, Rows),
                     columns = std::min<std::int64_t>(size.columns, kColumns);
  for (std::int64_t m = 0; m < rows; ++m) {
    for (std::int64_t n = 0; n < columns; ++n) {
      float& sum = to.data[m * to.stride + n];
      sum = block[m * kColumns + n] + (to.result == Result::accumulate ? sum : 0.0f);
    }
  }
}

template <int Rows, int Columns>
CARAVAN_INLINE void block(const Product& size, const Panels& a, const Panels& b, const Output& to) {
  if (size.rows < Rows || size.columns < Columns * kLanes)
    return part_of_block<Rows, Columns>(size, a, b, to);
  whole_block<Rows, Columns>(size.depth, a, b, to);
}

/// One panel of columns, at most Columns vectors wide; the last rows in the smallest block that holds them.
template <int Columns>
void column_of_blocks(Product size, Panels a, const Panels& b, Output to) {
  for (; size.rows >= kPanel; size.rows -= kPanel, a.data += a.next, to.data += kPanel * to.stride) {
    block<kPanel, Columns>(size, a, b, to);
  }
  if (size.rows > 2 * kPanel / 3) {
    part_of_block<kPanel, Columns>(size, a, b, to);
  } else if (size.rows > kPanel / 3) {
    block<2 * kPanel / 3, Columns>(size, a, b, to);
  } else if (size.rows > 0) {
    block<kPanel / 3, Columns>(size, a, b, to);
  }
}

}  // namespace caravan::host
