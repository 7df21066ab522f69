#pragma once

#include "gemm.hpp"

namespace caravan::host {

/// More rows than this are better packed.
inline constexpr std::int64_t kFewRows = 8;

/// a·bᵀ for the few rows of decoding or of an expert that hardly anybody chose: squares of b are transposed
/// in registers, so that b is read where it is and once. Each element is summed in the order of
/// the packed products, in slices of the depth of `part`: how many rows there are changes no bit of any. `a`
/// is not transposed, `b` is; the depth is not 0.
void multiply_few_rows(const Product& size, std::int64_t part, const Operand& a, const Operand& b,
                       const Output& to);

}  // namespace caravan::host
