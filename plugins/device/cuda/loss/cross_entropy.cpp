#include <algorithm>
#include <string>

#include "plugins/device/cuda/device/cuda_ops.hpp"
#include "plugins/device/cuda/kernels/columns.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/loss/softmax_rows.hpp"
#include "plugins/device/cuda/products/matrix_product.hpp"

// A block of rows of logits at a time: product, one pass that makes losses and turns the logits into their
// gradients in place, two products that use those up. Logits are f32, so that the loss is not rounded;
// gradients have the type of the activations.
namespace caravan::cuda {
namespace {

/// Enough rows for the products to run at speed, few enough for half a gibibyte where the vocabulary allows.
std::int64_t block_rows(std::int64_t rows, std::int64_t row_bytes) {
  constexpr std::int64_t kBytes = std::int64_t{512} << 20, kLeast = 1024, kMost = 8192, kStep = 128;
  const std::int64_t most = std::clamp(kBytes / row_bytes, kLeast, kMost);
  const std::int64_t blocks = std::max<std::int64_t>(ceil_div(rows, most), 1);
  return std::min(rows, ceil_div(ceil_div(rows, blocks), kStep) * kStep);
}

struct Head {
  Matrix x, w, bias, logits, dx, dw;
  float* dbias = nullptr;
  const std::int32_t* labels = nullptr;
  double* loss_sum = nullptr;
  float gradient_scale = 1;
};

Head check_head(const Call& call, const LinearCrossEntropy& args) {
  const DType type = call.compute_type("x", args.x);
  Head head;
  head.x = call.matrix("x", args.x, type, kAny, kAny);
  head.w = call.matrix("w", args.w, type, kAny, head.x.columns);
  if (!args.bias.empty()) head.bias = call.vector("bias", args.bias, type, head.w.rows);
  head.logits = call.optional_matrix("logits", args.logits, DType::f32, head.x.rows, head.w.rows);
  head.labels = call.indices("labels", args.labels, head.x.rows);
  head.loss_sum = call.scalar_f64("loss_sum", args.loss_sum);
  head.gradient_scale = args.gradient_scale;
  head.dx = call.optional_matrix("dx", args.dx, type, head.x.rows, head.x.columns);
  if (!head.dx) return head;
  head.dw = call.optional_matrix("dw", args.dw, DType::f32, head.w.rows, head.w.columns);
  head.dbias = call.optional_floats("dbias", args.dbias, head.w.rows);
  return head;
}

Matrix rows_of(const Matrix& m, std::int64_t first, std::int64_t count) {
  if (!m) return {};
  Matrix part = m;
  part.data = static_cast<char*>(m.data) + first * m.stride * static_cast<std::int64_t>(size_of(m.dtype));
  part.rows = count;
  return part;
}

/// Scratch of one call.
struct Scratch {
  Matrix block;  ///< [block rows, V] f32, rows on 32 bytes; absent when nothing needs it
  double* losses = nullptr;
  float* column_sums = nullptr;
};

Scratch take_scratch(Workspace& workspace, const Head& head, std::int64_t block) {
  const std::int64_t vocabulary = head.w.rows, stride = ceil_div(vocabulary, 8) * 8;
  const Matrix rows{nullptr, DType::f32, block, vocabulary, stride};
  const bool needs_block = !head.logits || head.dx;
  const std::size_t floats = needs_block ? static_cast<std::size_t>(block * stride) : 0;
  const std::size_t sums = head.dbias ? column_sums_scratch(rows) : 0;
  const auto tokens = static_cast<std::size_t>(head.x.rows);
  workspace.begin((floats + sums) * sizeof(float) + tokens * sizeof(double), 3);
  Scratch scratch{rows, workspace.take<double>(tokens), workspace.take<float>(sums)};
  scratch.block.data = needs_block ? workspace.take<float>(floats) : nullptr;
  return scratch;
}

/// The gradients' place: the same rows as the scratch block, in the type of the activations.
Matrix gradient_place(const Matrix& block, DType type, std::int64_t rows) {
  Matrix place = block;
  place.rows = rows;
  if (type == DType::f32) return place;
  place.dtype = type;
  place.stride = 2 * block.stride;
  return place;
}

void add_gradients(Context& context, const Head& head, const SoftmaxRows& rows, std::int64_t first,
                   float* column_sums) {
  auto& products = context.keep<MatrixProducts>();
  const Matrix& dlogits = rows.dlogits;
  products.run({{dlogits}, {head.w}, rows_of(head.dx, first, dlogits.rows)});
  if (head.dw) products.run({{dlogits, true}, {rows_of(head.x, first, dlogits.rows)}, head.dw, head.dw});
  if (head.dbias) add_column_sums(dlogits, head.dbias, column_sums, context.stream());
}

}  // namespace

void CudaOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Head head = check_head(Call("linear_cross_entropy"), args);
  const std::int64_t tokens = head.x.rows;
  if (tokens == 0 || head.w.rows == 0) return;
  const std::int64_t block = block_rows(tokens, head.w.rows * static_cast<std::int64_t>(sizeof(float)));
  const Scratch scratch = take_scratch(context_.workspace(), head, block);
  for (std::int64_t first = 0; first < tokens; first += block) {
    const std::int64_t count = std::min(block, tokens - first);
    SoftmaxRows rows;
    rows.logits = head.logits ? rows_of(head.logits, first, count) : rows_of(scratch.block, 0, count);
    rows.labels = head.labels + first;
    rows.losses = scratch.losses + first;
    rows.gradient_scale = head.gradient_scale;
    if (head.dx) rows.dlogits = gradient_place(scratch.block, head.x.dtype, count);
    MatrixProduct product{{rows_of(head.x, first, count)}, {head.w, true}, rows.logits};
    product.bias = head.bias;
    context_.keep<MatrixProducts>().run(product);
    softmax_rows(context_, rows);
    if (head.dx) add_gradients(context_, head, rows, first, scratch.column_sums);
  }
  add_sum(scratch.losses, tokens, head.loss_sum, context_.stream());
}

OperatorPath CudaOps::path_of(const LinearCrossEntropy& args) const {
  const Head head = check_head(Call("linear_cross_entropy"), args);
  const std::int64_t row = head.w.rows * static_cast<std::int64_t>(sizeof(float));
  return {"cuBLASLt and own kernel",
          std::to_string(block_rows(head.x.rows, row)) + " rows of logits at a time"};
}

}  // namespace caravan::cuda
