#pragma once

#include "context.hpp"
#include "grouped_call.hpp"
#include "tensor_map.hpp"

namespace caravan::cuda {

/// The operands of a call: Product::rows multiplies a [rows, depth] by b[group], weights aᵀ by b.
struct GroupedOperands {
  MappedTensor a;
  MappedTensor b;
  bool b_depth_adjacent =
      true;  ///< Product::rows: b is [groups, columns, depth], else [groups, depth, columns]
};

/// Blocks of a cluster share what they can load together.
enum class Cluster { one, pair };

/// True when the tensor cores serve this call: bf16 operands on 16-byte boundaries.
bool fits_tensor_cores(const GroupedOperands& operands, const GroupedCall& call, Product product);

/// Product of groups of rows on the tensor cores; see fits_tensor_cores.
void grouped_gemm(Context& context, const GroupedOperands& operands, const GroupedCall& call, Product product,
                  Cluster cluster);

/// The same with ordinary f32 arithmetic, for every shape and both types.
void grouped_plain(Context& context, const GroupedOperands& operands, const GroupedCall& call,
                   Product product);

}  // namespace caravan::cuda
