#pragma once

#include <cstdint>

#include "caravan/ops/linear.hpp"

namespace caravan::cuda {

/// What is summed over.
enum class Product {
  rows,     ///< an output row for each row of a group: Σ over a static depth
  weights,  ///< an output matrix for each group: Σ over the rows of the group
};

/// The extents of products that share one launch, one a group. Which rows a group has stands on the device.
struct GroupedCall {
  const std::int32_t* offsets = nullptr;  ///< [groups + 1] on the device; null: one group of all rows
  int groups = 1;
  int rows = 0;      ///< rows of the sorted buffer: a bound
  int out_rows = 0;  ///< Product::weights: rows of an output matrix
  int columns = 0;   ///< of the output
  int depth = 0;     ///< Product::rows: what is summed over

  void* out = nullptr;
  std::int64_t out_stride = 0;              ///< elements between rows
  std::int64_t out_group = 0;               ///< Product::weights: elements between matrices
  bool out_f32 = true;                      ///< else bf16
  Accumulate accumulate = Accumulate::add;  ///< Product::weights; replaced matrices without rows become zero

  void* swiglu = nullptr;  ///< where SwiGLU's result goes, bf16, when it follows the product
  std::int64_t swiglu_stride = 0;

  double* squares = nullptr;  ///< Product::weights that replaces: Σ of its squares is added here; or null
  double* parts = nullptr;    ///< scratch for it: one for each warp that multiplies a tile
  unsigned* ticket = nullptr;

  unsigned* claimed = nullptr;  ///< units that clusters have claimed, zero between launches
};

}  // namespace caravan::cuda
