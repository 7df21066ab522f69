#pragma once

#include <cstdint>
#include <vector>

#include "memory.hpp"
#include "parallel.hpp"

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

/// Matrix products, and the scratch that they pack their operands into: 2.7 MB a thread, taken once.
/// 93–98 % of the FMA peak on the shapes of a step (docs/performance.md). An element is summed in the same
/// order whatever the number of threads and of rows: in decoding a row gives the same bits in any company.
class Products {
 public:
  explicit Products(const Team& team);

  /// to = a·b, or to += a·b; row-major.
  void multiply(const Product& size, const Operand& a, const Operand& b, const Output& to);

 private:
  Team team_;
  std::vector<Workspace> scratch_;  ///< one a thread
};

}  // namespace caravan::host
