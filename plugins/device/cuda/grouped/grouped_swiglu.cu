#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "plugins/device/cuda/grouped/grouped_launch.cuh"

namespace caravan::cuda {
namespace {

using hopper::Major;

using GateUp =
    Recipe<Product::rows, Major::depth, Shared::a, TileShape<128, 128, 2, 2, 6, 2>, Finish::gate_up>;
/// Fewer stages, more boxes: gates and ups come through them.
using SwigluBackward = Recipe<Product::rows, Major::outputs, Shared::a, TileShape<128, 128, 2, 2, 5, 4>,
                              Finish::swiglu_backward>;

/// Halves of rows as two matrices.
MappedTensor halves(const MappedTensor& rows) {
  MappedTensor both = rows;
  both.columns = rows.columns / 2;
  both.matrices = 2;
  both.matrix_stride = both.columns;
  return both;
}

}  // namespace

bool fits_swiglu(const GroupedOperands& operands, const MappedTensor& pre, const MappedTensor& narrow) {
  const bool types = operands.a.dtype == DType::bf16 && pre.dtype == DType::bf16;
  return types && pre.columns % 2 == 0 && fits_copy_engine(operands.a) && fits_copy_engine(operands.b) &&
         fits_copy_engine(halves(pre)) && fits_copy_engine(narrow);
}

void grouped_gate_up(Context& context, const GroupedOperands& operands, const SwigluTensors& tensors,
                     GroupedCall call) {
  const TensorMaps& maps = context.keep<TensorMaps>();
  MappedTensor w = operands.b;  // of each group gate, then up
  w.rows /= 2;
  w.matrices *= 2;
  w.matrix_stride = w.rows * w.row_stride;
  call.swiglu = tensors.result.data;
  call.swiglu_stride = tensors.result.row_stride;
  launch<GateUp>(context,
                 {maps.boxes(operands.a, 64, GateUp::kTileRows / GateUp::kShareA),
                  maps.boxes(w, 64, GateUp::kTileColumns / 2), maps.boxes(halves(tensors.pre), 64, 16),
                  maps.boxes(tensors.result, 64, 16)},
                 call);
}

void grouped_swiglu_backward(Context& context, const GroupedOperands& operands, const SwigluTensors& tensors,
                             const GroupedCall& call) {
  const TensorMaps& maps = context.keep<TensorMaps>();
  launch<SwigluBackward>(
      context,
      {maps.boxes(operands.a, 64, SwigluBackward::kTileRows / SwigluBackward::kShareA),
       maps.boxes(operands.b, 64, kTileDepth / SwigluBackward::kShareB),
       maps.boxes(halves(tensors.result), 64, 16), maps.boxes(halves(tensors.pre), 64, 16)},
      call);
}

}  // namespace caravan::cuda
