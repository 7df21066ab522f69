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

/// y = x·wᵀ (+ addend), of all rows with one matrix or of each group's rows with its own.
struct FewRowsProduct {
  Matrix x;                               ///< [R, M] bf16
  MappedTensor w;                         ///< [E, N, M] bf16
  const std::int32_t* offsets = nullptr;  ///< [E+1] first row of each group; null: E is 1
  Matrix y;                               ///< [R, N] bf16 or f32; with `activated` bf16
  Matrix addend = {};                     ///< [R, N] as y, may be y; or absent
  /// [R, N/2] bf16: silu(gate)·up, gate the first half of a row of y and up the other; or absent
  Matrix activated = {};
};

/// Whether the rows are few and all of it is read 16 bytes at a time.
bool is_of_few_rows(const FewRowsProduct& product);

OperatorPath few_rows_path();

/// On the compute lane. Rows of no group stay as they are.
void few_rows_product(const Context& context, const FewRowsProduct& product);

/// The same of one matrix and without `activated`: its weights come by way of shared memory.
void streamed_linear(const Context& context, const FewRowsProduct& product);

}  // namespace caravan::cuda
