#include "gemm_few_rows.hpp"

#include <algorithm>

#include "register_block.hpp"

namespace caravan::host {
namespace {

constexpr int kRows = 4;
/// Rows of b at a time: 4·4 sums and 4 + 1 vectors in 32 registers.
constexpr int kColumns = kVectorRegisters == 32 ? 4 : 2;

/// Rows × Columns dot products of rows of a and rows of b.
template <int Rows, int Columns>
void dot_block(std::int64_t depth, const Operand& a, const Operand& b, const Output& to) {
  Block<Rows, Columns> sums;
  clear(sums);
  std::int64_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) {
    Vec right[Columns];
#pragma GCC unroll 4
    for (int n = 0; n < Columns; ++n) right[n] = load(b.data + n * b.stride + k);
#pragma GCC unroll 4
    for (int m = 0; m < Rows; ++m) {
      const Vec left = load(a.data + m * a.stride + k);
#pragma GCC unroll 4
      for (int n = 0; n < Columns; ++n) sums[m][n] += left * right[n];
    }
  }
  for (int m = 0; m < Rows; ++m) {
    for (int n = 0; n < Columns; ++n) {
      float sum = sum_of(sums[m][n]);
      for (std::int64_t rest = k; rest < depth; ++rest) {
        sum += a.data[m * a.stride + rest] * b.data[n * b.stride + rest];
      }
      float& result = to.data[m * to.stride + n];
      result = to.result == Result::accumulate ? result + sum : sum;
    }
  }
}

template <int Columns>
void dot_rows(Product size, Operand a, const Operand& b, Output to) {
  for (; size.rows >= kRows; size.rows -= kRows, a.data += kRows * a.stride, to.data += kRows * to.stride) {
    dot_block<kRows, Columns>(size.depth, a, b, to);
  }
  switch (size.rows) {
    case 3:
      return dot_block<3, Columns>(size.depth, a, b, to);
    case 2:
      return dot_block<2, Columns>(size.depth, a, b, to);
    case 1:
      return dot_block<1, Columns>(size.depth, a, b, to);
    default:
      return;
  }
}

}  // namespace

void multiply_few_rows(const Product& size, const Operand& a, const Operand& b, const Output& to) {
  std::int64_t n = 0;
  for (; n + kColumns <= size.columns; n += kColumns) {
    dot_rows<kColumns>(size, a, {b.data + n * b.stride, b.stride}, {to.data + n, to.stride, to.result});
  }
  for (; n < size.columns; ++n) {
    dot_rows<1>(size, a, {b.data + n * b.stride, b.stride}, {to.data + n, to.stride, to.result});
  }
}

}  // namespace caravan::host
