#include "columns.hpp"
#include "cuda_error.hpp"
#include "cuda_ops.hpp"
#include "matrix_product.hpp"
#include "narrow_product.hpp"

namespace caravan::cuda {
namespace {

/// [count] f32 or bf16 as told by the compute type, or absent.
Matrix bias_of(const Call& call, const TensorView& bias, DType type, std::int64_t count) {
  return bias.empty() ? Matrix{} : call.vector("bias", bias, type, count);
}

void clear(const Matrix& m, cudaStream_t stream) {
  const std::size_t width = static_cast<std::size_t>(m.columns) * sizeof(float);
  CARAVAN_CUDA_CHECK(cudaMemset2DAsync(m.data, static_cast<std::size_t>(m.stride) * sizeof(float), 0, width,
                                       static_cast<std::size_t>(m.rows), stream));
}

}  // namespace

void CudaOps::linear_forward(const LinearForward& args) {
  const Call call("linear_forward");
  const DType type = call.compute_type("x", args.x), result = call.compute_type("y", args.y);
  if (type == DType::f32 && result != type) call.fail("'y' is bf16 where 'x' is f32 (needs f32)");
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix w = call.matrix("w", args.w, type, kAny, x.columns);
  MatrixProduct product{{x}, {w, true}, call.matrix("y", args.y, result, x.rows, w.rows)};
  product.addend = call.optional_matrix("residual", args.residual, result, x.rows, w.rows);
  product.bias = bias_of(call, args.bias, type, w.rows);
  if (!product.addend && !product.bias && is_narrow(product.result, {x, w})) {
    return narrow_forward(x, w, product.result, context_.stream());
  }
  context_.keep<MatrixProducts>().run(product);
}

void CudaOps::linear_backward_input(const LinearBackwardInput& args) {
  const Call call("linear_backward_input");
  const DType type = call.compute_type("dy", args.dy);
  const Matrix dy = call.matrix("dy", args.dy, type, kAny, kAny);
  const Matrix w = call.matrix("w", args.w, type, dy.columns, kAny);
  const Matrix dx = call.matrix("dx", args.dx, type, dy.rows, w.columns);
  if (is_narrow(dy, {w, dx})) {
    const NarrowResult result = args.accumulate ? NarrowResult::added_to : NarrowResult::replaced;
    return narrow_backward_input(dy, w, dx, result, context_.stream());
  }
  context_.keep<MatrixProducts>().run({{dy}, {w}, dx, args.accumulate ? dx : Matrix{}});
}

void CudaOps::linear_backward_weight(const LinearBackwardWeight& args) {
  const Call call("linear_backward_weight");
  const DType type = call.compute_type("x", args.x);
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix dy = call.matrix("dy", args.dy, type, x.rows, kAny);
  const Matrix dw = call.matrix("dw", args.dw, DType::f32, dy.columns, x.columns);
  float* dbias = call.optional_floats("dbias", args.dbias, dy.columns);
  const bool replaces = args.accumulate == Accumulate::replace;
  if (x.rows == 0 && replaces) clear(dw, context_.stream());
  if (x.rows == 0) return;
  if (is_narrow(dy, {x})) {
    const NarrowResult result = replaces ? NarrowResult::replaced : NarrowResult::added_to;
    narrow_backward_weight(dy, x, dw, result, context_);
  } else {
    context_.keep<MatrixProducts>().run({{dy, true}, {x}, dw, replaces ? Matrix{} : dw});
  }
  if (!dbias) return;
  Workspace& scratch = context_.workspace();
  const std::size_t floats = column_sums_scratch(dy);
  scratch.begin(floats * sizeof(float), 1);
  add_column_sums(dy, dbias, scratch.take<float>(floats), context_.stream());
}

}  // namespace caravan::cuda
