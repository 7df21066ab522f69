#pragma once

#include <cstdint>

namespace caravan::host {

/// Rows of `data` lie `stride` apart; `transposed` means that the operand of the product is its transpose.
struct Operand {
  const float* data;
  std::int64_t stride;
  bool transposed = false;
};
struct Product {
  std::int64_t rows, columns, depth;
};
enum class Result { replace, accumulate };
struct Output {
  float* data;
  std::int64_t stride;
  Result result = Result::replace;
};

/// to = a·b, or to += a·b; row-major.
/// oneDNN's sgemm: 85–98 % of the FMA peak on every shape of a step here, against 70–98 % for its matmul
/// primitives, and no primitive to cache for each number of tokens that an expert happens to get. See
/// docs/performance.md.
void multiply(const Product& size, const Operand& a, const Operand& b, const Output& to);

}  // namespace caravan::host
