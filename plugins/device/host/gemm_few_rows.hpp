#pragma once

#include "gemm.hpp"

namespace caravan::host {

/// More rows than this are better packed.
inline constexpr std::int64_t kFewRows = 8;

/// a·bᵀ for the few rows of decoding or of an expert that hardly anybody chose: dot products, which read b
/// once and where it is. `a` is not transposed, `b` is; the depth is not 0.
void multiply_few_rows(const Product& size, const Operand& a, const Operand& b, const Output& to);

}  // namespace caravan::host
