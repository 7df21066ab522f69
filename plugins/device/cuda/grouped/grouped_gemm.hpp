#pragma once

#include "plugins/device/cuda/device/context.hpp"
#include "plugins/device/cuda/grouped/grouped_call.hpp"
#include "plugins/device/cuda/kernels/tensor_map.hpp"

namespace caravan::cuda {

/// The operands of a call: Product::rows multiplies a [rows, depth] by b[group], weights aᵀ by b.
struct GroupedOperands {
  MappedTensor a;
  MappedTensor b;
  bool b_depth_adjacent =
      true;  ///< Product::rows: b is [groups, columns, depth], else [groups, depth, columns]
};

/// Tiles of outputs: 128 × 128, where the blocks of a cluster share rows of a, or 128 × 192, where they share
/// columns of b. Product::weights has wide ones alone.
enum class Tiles { square, wide };

/// The faster ones as measured: wide where the weight of a group does not stay in L2, because then what is
/// loaded of it counts most. Squares waste less at the ends of groups and of rows.
Tiles best_tiles(const GroupedCall& call, Product product);

/// True when the tensor cores serve this call: bf16 operands on 16-byte boundaries.
bool fits_tensor_cores(const GroupedOperands& operands, const GroupedCall& call, Product product);

/// Product of groups of rows on the tensor cores; see fits_tensor_cores. It alone serves
/// GroupedCall::squares.
void grouped_gemm(Context& context, const GroupedOperands& operands, const GroupedCall& call, Product product,
                  Tiles tiles);

/// What SwiGLU reads and writes beside the product.
struct SwigluTensors {
  MappedTensor pre;     ///< [rows, 2F] gates, then ups
  MappedTensor result;  ///< [rows, F] forward, [rows, 2F] gradients of `pre` backward
};

/// True when the tensor cores and the copy engine serve a product joined with SwiGLU.
bool fits_swiglu(const GroupedOperands& operands, const MappedTensor& pre, const MappedTensor& narrow);

/// pre = a·bᵀ with b of [groups, 2F, depth], result = silu(gate)·up of pre as stored; call.out is pre,
/// call.columns F.
void grouped_gate_up(Context& context, const GroupedOperands& operands, const SwigluTensors& tensors,
                     GroupedCall call);

/// Gradients of `pre` for those of SwiGLU's output, a·b with b of [groups, depth, F]; call.out is the result,
/// call.columns F.
void grouped_swiglu_backward(Context& context, const GroupedOperands& operands, const SwigluTensors& tensors,
                             const GroupedCall& call);

/// The same as grouped_gemm with ordinary f32 arithmetic, for every shape and both types.
void grouped_plain(Context& context, const GroupedOperands& operands, const GroupedCall& call,
                   Product product);

}  // namespace caravan::cuda
