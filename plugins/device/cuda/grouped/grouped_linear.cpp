#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/grouped/grouped_gemm.hpp"
#include "plugins/device/cuda/grouped/grouped_operands.hpp"
#include "plugins/device/cuda/products/few_rows.hpp"

namespace caravan::cuda {
namespace {

struct GroupedRun {
  GroupedOperands operands;
  GroupedCall extents;
  Product product;
};

bool on_tensor_cores(const GroupedRun& run) {
  return run.extents.rows > 0 && fits_tensor_cores(run.operands, run.extents, run.product);
}

/// The tensor cores when alignment allows, else the plain kernel; nothing at all when there is nothing to
/// write.
void run(Context& context, const GroupedRun& run) {
  const GroupedCall& call = run.extents;
  const bool of_weights = run.product == Product::weights;
  const bool clears = of_weights && call.accumulate == Accumulate::replace;
  const bool nothing = call.groups == 0 || call.columns == 0 ||
                       (of_weights ? call.out_rows : call.depth) == 0 || (call.rows == 0 && !clears);
  if (nothing) return;
  if (on_tensor_cores(run)) {
    return grouped_gemm(context, run.operands, call, run.product, best_tiles(call, run.product));
  }
  grouped_plain(context, run.operands, call, run.product);
}

/// out [R, columns] = in · b[group]
GroupedRun rows_product(const Call& call, const Matrix& in, const Matrix& out, const MappedTensor& w) {
  GroupedRun run{{mapped(in), w, true}, {}, Product::rows};
  run.extents.groups = narrow(call, "experts", w.matrices);
  run.extents.rows = narrow(call, "rows", in.rows);
  run.extents.columns = narrow(call, "columns", out.columns);
  run.extents.depth = narrow(call, "summed elements", in.columns);
  run.extents.out = out.data;
  run.extents.out_stride = out.stride;
  run.extents.out_f32 = out.dtype == DType::f32;
  return run;
}

GroupedRun forward_of(const GroupedLinearForward& args) {
  const Call call("grouped_linear_forward");
  const DType type = call.compute_type("x", args.x);
  const MappedTensor w = experts(call, "w", args.w, type);
  const Matrix x = call.matrix("x", args.x, type, kAny, w.columns);
  const Matrix y = call.matrix("y", args.y, call.compute_type("y", args.y), x.rows, w.rows);
  GroupedRun forward = rows_product(call, x, y, w);
  forward.extents.offsets = call.indices("offsets", args.offsets, w.matrices + 1);
  return forward;
}

GroupedRun backward_of(const GroupedLinearBackwardInput& args) {
  const Call call("grouped_linear_backward_input");
  const DType type = call.compute_type("dy", args.dy);
  const MappedTensor w = experts(call, "w", args.w, type);
  const Matrix dy = call.matrix("dy", args.dy, type, kAny, w.rows);
  const Matrix dx = call.matrix("dx", args.dx, call.compute_type("dx", args.dx), dy.rows, w.columns);
  GroupedRun backward = rows_product(call, dy, dx, w);
  backward.operands.b_depth_adjacent = false;
  backward.extents.offsets = call.indices("offsets", args.offsets, w.matrices + 1);
  return backward;
}

GroupedRun weights_of(const GroupedLinearBackwardWeight& args) {
  const Call call("grouped_linear_backward_weight");
  const DType type = call.compute_type("x", args.x);
  const MappedTensor dw = experts(call, "dw", args.dw, DType::f32);
  const Matrix x = call.matrix("x", args.x, type, kAny, dw.columns);
  const Matrix dy = call.matrix("dy", args.dy, type, x.rows, dw.rows);
  GroupedRun backward{{mapped(dy), mapped(x), false}, {}, Product::weights};
  GroupedCall& extents = backward.extents;
  extents.offsets = call.indices("offsets", args.offsets, dw.matrices + 1);
  extents.groups = narrow(call, "experts", dw.matrices);
  extents.rows = narrow(call, "rows", x.rows);
  extents.out_rows = narrow(call, "rows of a weight", dw.rows);
  extents.columns = narrow(call, "columns", dw.columns);
  extents.out = dw.data;
  extents.out_stride = dw.row_stride;
  extents.out_group = dw.matrix_stride;
  extents.accumulate = args.accumulate;
  return backward;
}

FewRowsProduct of_few_rows(const GroupedRun& forward) {
  const auto& [operands, extents, product] = forward;
  const MappedTensor& x = operands.a;
  const DType type = extents.out_f32 ? DType::f32 : DType::bf16;
  return {.x = {x.data, x.dtype, x.rows, x.columns, x.row_stride},
          .w = operands.b,
          .offsets = extents.offsets,
          .y = {extents.out, type, extents.rows, extents.columns, extents.out_stride}};
}

OperatorPath path_of_run(const GroupedRun& run) {
  if (on_tensor_cores(run)) return {"own kernel", "tensor cores"};
  const bool f32 = run.operands.a.dtype == DType::f32;
  return {"plain kernel", f32 ? "fp32" : "rows off 16 bytes", OperatorPath::Pace::plain};
}

}  // namespace

void CudaOps::grouped_linear_forward(const GroupedLinearForward& args) {
  const GroupedRun forward = forward_of(args);
  const FewRowsProduct few = of_few_rows(forward);
  if (is_of_few_rows(few)) return few_rows_product(context_, few);
  run(context_, forward);
}

void CudaOps::grouped_linear_backward_input(const GroupedLinearBackwardInput& args) {
  run(context_, backward_of(args));
}

void CudaOps::grouped_linear_backward_weight(const GroupedLinearBackwardWeight& args) {
  GroupedRun backward = weights_of(args);
  const bool replaces = args.accumulate == Accumulate::replace, squares = !args.squares.empty();
  const bool squared = squares && replaces && on_tensor_cores(backward);
  if (squared) {
    backward.extents.squares = Call("grouped_linear_backward_weight").scalar_f64("squares", args.squares);
  }
  run(context_, backward);
  if (squares && !squared) sum_of_squares({args.dw, args.squares});
}

OperatorPath CudaOps::path_of(const GroupedLinearForward& args) const {
  const GroupedRun forward = forward_of(args);
  return is_of_few_rows(of_few_rows(forward)) ? few_rows_path() : path_of_run(forward);
}

OperatorPath CudaOps::path_of(const GroupedLinearBackwardInput& args) const {
  return path_of_run(backward_of(args));
}

OperatorPath CudaOps::path_of(const GroupedLinearBackwardWeight& args) const {
  return path_of_run(weights_of(args));
}

}  // namespace caravan::cuda
