#pragma once

#include <cstdint>

#include "caravan/ops.hpp"
#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/device/view.hpp"
#include "plugins/device/cuda/kernels/tensor_map.hpp"

// Products of few rows, as decoding makes them: what they cost is reading the weights once. Every number is
// summed in an order that the depth alone decides, so a row comes out the same whatever rows are beside it.
namespace caravan::cuda {

/// More rows go to the kernels that cut products into tiles of rows.
inline constexpr std::int64_t kMostFewRows = 32;

/// y = x·wᵀ (+ addend), of all rows with one matrix or of each group's rows with its own. Row r of y is of
/// row r of x or, with `choice_of`, of row choice_of[r] / top_k times the weight of this choice, rounded.
struct FewRowsProduct {
  Matrix x;                               ///< [R, M] bf16
  MappedTensor w;                         ///< [E, N, M] bf16
  const std::int32_t* offsets = nullptr;  ///< [E+1] first row of each group; null: E is 1
  Matrix y;                               ///< [R, N] bf16 or f32; with `activated` bf16
  Matrix addend = {};                     ///< [R, N] as y, may be y; or absent
  /// [R, N/2] bf16: silu(gate)·up, gate the first half of a row of y and up the other; or absent
  Matrix activated = {};
  const std::int32_t* choice_of = nullptr;  ///< [R] below top_k times the rows of x; with `activated` alone
  Matrix weights = {};                      ///< f32, a column for each of top_k, or absent
  std::int64_t top_k = 1;

  std::int64_t y_rows() const { return activated ? activated.rows : y.rows; }
};

/// Whether the rows are few and all of it is read 16 bytes at a time.
bool is_of_few_rows(const FewRowsProduct& product);

OperatorPath few_rows_path();

/// Both in one kernel where there are up to eight rows, bf16 alone: one matrix for all rows, and one for each
/// group's, whose rows are of choices; both with `activated`, or none and rows as they are. They write to
/// different memory.
void few_rows_products(const Context& context, const FewRowsProduct& one, const FewRowsProduct& groups);

/// On the compute lane. Rows of no group stay as they are.
void few_rows_product(const Context& context, const FewRowsProduct& product);

}  // namespace caravan::cuda
