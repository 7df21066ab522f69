#include <algorithm>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "plugins/device/cuda/grouped/grouped_operands.hpp"
#include "plugins/device/cuda/products/few_rows.hpp"

// Halves of a SwiGLU block: one kernel where the tensor cores serve the product, else product and SwiGLU
// apart.
namespace caravan::cuda {
namespace {

/// One group of all rows where there are no experts.
MappedTensor weights(const Call& call, const TensorView& w, const TensorView& offsets, DType type) {
  return offsets.empty() ? mapped(call.matrix("w", w, type, kAny, kAny)) : experts(call, "w", w, type);
}

GroupedCall extents_of(const Call& call, const Matrix& in, const MappedTensor& w, const TensorView& offsets,
                       std::int64_t width) {
  GroupedCall extents;
  extents.groups = narrow(call, "experts", w.matrices);
  extents.rows = narrow(call, "rows", in.rows);
  extents.columns = narrow(call, "columns", width);
  extents.depth = narrow(call, "summed elements", in.columns);
  extents.out_f32 = false;
  if (!offsets.empty()) extents.offsets = call.indices("offsets", offsets, w.matrices + 1);
  return extents;
}

bool is_nothing(const GroupedCall& extents) {
  return std::min({extents.groups, extents.rows, extents.columns, extents.depth}) == 0;
}

struct GateUp {
  Matrix x, activated, pre;
  GroupedCall extents;
  GroupedOperands operands;
  bool fused = false;

  explicit GateUp(const GateUpForward& args) {
    const Call call("gate_up_forward");
    const DType type = call.compute_type("x", args.x);
    const MappedTensor w = weights(call, args.w, args.offsets, type);
    x = call.matrix("x", args.x, type, kAny, w.columns);
    activated = call.matrix("activated", args.activated, type, x.rows, w.rows / 2);
    pre = call.matrix("pre", args.pre, type, x.rows, 2 * activated.columns);
    extents = extents_of(call, x, w, args.offsets, activated.columns);
    operands = {mapped(x), w, true};
    fused = !is_nothing(extents) && fits_swiglu(operands, mapped(pre), mapped(activated));
  }
  FewRowsProduct of_few_rows() const {
    return {.x = x, .w = operands.b, .offsets = extents.offsets, .y = pre, .activated = activated};
  }
};

struct DownGradient {
  Matrix pre, dpre;
  GroupedCall extents;
  GroupedOperands operands;
  bool fused = false;

  explicit DownGradient(const DownBackwardInput& args) {
    const Call call("down_backward_input");
    const DType type = call.compute_type("dy", args.dy);
    const MappedTensor w = weights(call, args.w, args.offsets, type);
    const Matrix dy = call.matrix("dy", args.dy, type, kAny, w.rows);
    pre = call.matrix("pre", args.pre, type, dy.rows, 2 * w.columns);
    dpre = call.matrix("dpre", args.dpre, type, dy.rows, 2 * w.columns);
    extents = extents_of(call, dy, w, args.offsets, w.columns);
    operands = {mapped(dy), w, false};
    fused = !is_nothing(extents) && fits_swiglu(operands, mapped(pre), mapped(dpre));
  }
};

OperatorPath fused_path() {
  return {"own kernel", "tensor cores, SwiGLU in the product"};
}

OperatorPath apart(OperatorPath product) {
  product.why += product.why.empty() ? "SwiGLU apart" : ", SwiGLU apart";
  return product;
}

}  // namespace

void CudaOps::gate_up_forward(const GateUpForward& args) {
  GateUp g(args);
  if (is_of_few_rows(g.of_few_rows())) return few_rows_product(context_, g.of_few_rows());
  if (g.fused) {
    g.extents.out = g.pre.data;
    g.extents.out_stride = g.pre.stride;
    return grouped_gate_up(context_, g.operands, {mapped(g.pre), mapped(g.activated)}, g.extents);
  }
  if (args.offsets.empty()) {
    linear_forward({args.x, args.w, {}, {}, args.pre});
  } else {
    grouped_linear_forward({args.x, args.offsets, args.w, args.pre});
  }
  swiglu_forward({args.pre, args.activated});
}

void CudaOps::down_backward_input(const DownBackwardInput& args) {
  DownGradient g(args);
  if (g.fused) {
    g.extents.out = g.dpre.data;
    g.extents.out_stride = g.dpre.stride;
    return grouped_swiglu_backward(context_, g.operands, {mapped(g.pre), mapped(g.dpre)}, g.extents);
  }
  if (args.offsets.empty()) {
    linear_backward_input({args.dy, args.w, args.dactivated});
  } else {
    grouped_linear_backward_input({args.dy, args.offsets, args.w, args.dactivated});
  }
  swiglu_backward({args.pre, args.dactivated, args.dpre});
}

OperatorPath CudaOps::path_of(const GateUpForward& args) const {
  const GateUp g(args);
  if (is_of_few_rows(g.of_few_rows())) return few_rows_path();
  if (g.fused) return fused_path();
  if (args.offsets.empty()) return apart(path_of(LinearForward{args.x, args.w, {}, {}, args.pre}));
  return apart(path_of(GroupedLinearForward{args.x, args.offsets, args.w, args.pre}));
}

OperatorPath CudaOps::path_of(const DownBackwardInput& args) const {
  if (DownGradient(args).fused) return fused_path();
  if (args.offsets.empty()) return apart(path_of(LinearBackwardInput{args.dy, args.w, args.dactivated}));
  return apart(path_of(GroupedLinearBackwardInput{args.dy, args.offsets, args.w, args.dactivated}));
}

}  // namespace caravan::cuda
