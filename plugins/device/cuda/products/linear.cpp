#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/grouped/grouped_operands.hpp"
#include "plugins/device/cuda/kernels/clear.hpp"
#include "plugins/device/cuda/kernels/columns.hpp"
#include "plugins/device/cuda/products/few_rows.hpp"
#include "plugins/device/cuda/products/matrix_product.hpp"
#include "plugins/device/cuda/products/narrow_product.hpp"

namespace caravan::cuda {
namespace {

/// [count] f32 or bf16 as told by the compute type, or absent.
Matrix bias_of(const Call& call, const TensorView& bias, DType type, std::int64_t count) {
  return bias.empty() ? Matrix{} : call.vector("bias", bias, type, count);
}

MatrixProduct forward_product(const LinearForward& args) {
  const Call call("linear_forward");
  const DType type = call.compute_type("x", args.x), result = call.compute_type("y", args.y);
  if (type == DType::f32 && result != type) call.fail("'y' is bf16 where 'x' is f32 (needs f32)");
  const Matrix x = call.matrix("x", args.x, type, kAny, kAny);
  const Matrix w = call.matrix("w", args.w, type, kAny, x.columns);
  MatrixProduct product{{x}, {w, true}, call.matrix("y", args.y, result, x.rows, w.rows)};
  product.addend = call.optional_matrix("residual", args.residual, result, x.rows, w.rows);
  product.bias = bias_of(call, args.bias, type, w.rows);
  return product;
}

/// Of a forward.
bool runs_narrow(const MatrixProduct& p) {
  return !p.addend && !p.bias && is_narrow(p.result, {p.left.matrix, p.right.matrix});
}

FewRowsProduct of_few_rows(const MatrixProduct& p) {
  return {.x = p.left.matrix, .w = mapped(p.right.matrix), .y = p.result, .addend = p.addend};
}

bool runs_few_rows(const MatrixProduct& p) {
  return !p.bias && is_of_few_rows(of_few_rows(p));
}

struct InputGradient {
  Matrix dy, w, dx;

  explicit InputGradient(const LinearBackwardInput& args) {
    const Call call("linear_backward_input");
    const DType type = call.compute_type("dy", args.dy);
    dy = call.matrix("dy", args.dy, type, kAny, kAny);
    w = call.matrix("w", args.w, type, dy.columns, kAny);
    dx = call.matrix("dx", args.dx, type, dy.rows, w.columns);
  }
  bool is_narrow() const { return cuda::is_narrow(dy, {w, dx}); }
};

struct WeightGradient {
  Matrix x, dy, dw;

  WeightGradient(const Call& call, const LinearBackwardWeight& args) {
    const DType type = call.compute_type("x", args.x);
    x = call.matrix("x", args.x, type, kAny, kAny);
    dy = call.matrix("dy", args.dy, type, x.rows, kAny);
    dw = call.optional_matrix("dw", args.dw, DType::f32, dy.columns, x.columns);
  }
  bool is_narrow() const { return cuda::is_narrow(dy, {x}); }
};

OperatorPath product_path(bool narrow, DType type) {
  if (narrow) return {"own kernel", "rows off 16 bytes"};
  return {"cuBLASLt", type == DType::f32 ? "fp32, without tensor cores" : ""};
}

}  // namespace

void CudaOps::linear_forward(const LinearForward& args) {
  const MatrixProduct product = forward_product(args);
  if (runs_few_rows(product)) return few_rows_product(context_, of_few_rows(product));
  if (!runs_narrow(product)) return context_.keep<MatrixProducts>().run(product);
  narrow_forward(product.left.matrix, product.right.matrix, product.result, context_.stream());
}

void CudaOps::linear_backward_input(const LinearBackwardInput& args) {
  const InputGradient g(args);
  if (g.is_narrow()) {
    const NarrowResult result = args.accumulate ? NarrowResult::added_to : NarrowResult::replaced;
    return narrow_backward_input(g.dy, g.w, g.dx, result, context_.stream());
  }
  context_.keep<MatrixProducts>().run({{g.dy}, {g.w}, g.dx, args.accumulate ? g.dx : Matrix{}});
}

void CudaOps::linear_backward_weight(const LinearBackwardWeight& args) {
  const Call call("linear_backward_weight");
  const WeightGradient g(call, args);
  const auto& [x, dy, dw] = g;
  float* dbias = call.optional_floats("dbias", args.dbias, dy.columns);
  const bool replaces = args.accumulate == Accumulate::replace;
  if (x.rows == 0 && replaces && dw) clear(dw, context_.stream());
  if (x.rows == 0) return;
  if (dw && g.is_narrow()) {
    const NarrowResult result = replaces ? NarrowResult::replaced : NarrowResult::added_to;
    narrow_backward_weight(dy, x, dw, result, context_);
  } else if (dw) {
    context_.keep<MatrixProducts>().run({{dy, true}, {x}, dw, replaces ? Matrix{} : dw});
  }
  if (!dbias) return;
  Workspace& scratch = context_.workspace();
  const std::size_t floats = column_sums_scratch(dy);
  scratch.begin(floats * sizeof(float), 1);
  add_column_sums(dy, dbias, scratch.take<float>(floats), context_.stream());
}

OperatorPath CudaOps::path_of(const LinearForward& args) const {
  const MatrixProduct product = forward_product(args);
  if (runs_few_rows(product)) return few_rows_path();
  return product_path(runs_narrow(product), product.left.matrix.dtype);
}

OperatorPath CudaOps::path_of(const LinearBackwardInput& args) const {
  const InputGradient g(args);
  return product_path(g.is_narrow(), g.dy.dtype);
}

OperatorPath CudaOps::path_of(const LinearBackwardWeight& args) const {
  const WeightGradient g(Call("linear_backward_weight"), args);
  return product_path(g.is_narrow(), g.x.dtype);
}

}  // namespace caravan::cuda
