#include "plugins/device/cuda/loss/head.hpp"

#include <algorithm>

#include "plugins/device/cuda/kernels/columns.hpp"
#include "plugins/device/cuda/kernels/launch.hpp"
#include "plugins/device/cuda/products/matrix_product.hpp"

namespace caravan::cuda {
namespace {

/// Enough rows for the products to run at speed, few enough for a gibibyte where the vocabulary allows. Each
/// block reads and writes all of dw in f32, which takes 2/3 of the time of its products with 1024 rows on an
/// H200, and 1/6 with 4096.
std::int64_t block_rows(const Head& head) {
  constexpr std::int64_t kBytes = std::int64_t{1} << 30, kLeast = 4096, kMost = 8192, kStep = 128;
  const std::int64_t row_bytes = std::max<std::int64_t>(head.w.rows, 1) * std::int64_t{sizeof(float)};
  const std::int64_t rows = head.x.rows, most = std::clamp(kBytes / row_bytes, kLeast, kMost);
  const std::int64_t blocks = std::max<std::int64_t>(ceil_div(rows, most), 1);
  return std::min(rows, ceil_div(ceil_div(rows, blocks), kStep) * kStep);
}

}  // namespace

Matrix rows_of(const Matrix& m, std::int64_t first, std::int64_t count) {
  if (!m) return {};
  Matrix part = m;
  part.data = static_cast<char*>(m.data) + first * m.stride * static_cast<std::int64_t>(size_of(m.dtype));
  part.rows = count;
  return part;
}

LogitBlocks::LogitBlocks(Context& context, const Head& head, std::int64_t numbers)
    : context_(context), head_(head), rows_(block_rows(head)) {
  const std::int64_t vocabulary = head.w.rows, stride = ceil_div(vocabulary, 8) * 8;
  block_ = {nullptr, DType::f32, rows_, vocabulary, stride};
  const bool needs_block = !head.logits || head.dx;
  const std::size_t floats = needs_block ? static_cast<std::size_t>(rows_ * stride) : 0;
  const std::size_t sums = head.dbias ? column_sums_scratch(block_) : 0;
  const auto doubles = static_cast<std::size_t>(numbers);
  Workspace& workspace = context.workspace();
  workspace.begin((floats + sums) * sizeof(float) + doubles * sizeof(double), 3);
  numbers_ = workspace.take<double>(doubles);
  column_sums_ = workspace.take<float>(sums);
  if (needs_block) block_.data = workspace.take<float>(floats);
}

Matrix LogitBlocks::make(std::int64_t first) {
  const std::int64_t count = std::min(rows_, head_.x.rows - first);
  const Matrix logits = head_.logits ? rows_of(head_.logits, first, count) : rows_of(block_, 0, count);
  MatrixProduct product{{rows_of(head_.x, first, count)}, {head_.w, true}, logits};
  product.bias = head_.bias;
  context_.keep<MatrixProducts>().run(product);
  return logits;
}

Matrix LogitBlocks::gradient_place(std::int64_t rows) const {
  Matrix place = block_;
  place.rows = rows;
  if (head_.x.dtype == DType::f32) return place;
  place.dtype = head_.x.dtype;
  place.stride = 2 * block_.stride;
  return place;
}

void LogitBlocks::add_gradients(const Matrix& dlogits, std::int64_t first) {
  auto& products = context_.keep<MatrixProducts>();
  products.run({{dlogits}, {head_.w}, rows_of(head_.dx, first, dlogits.rows)});
  if (head_.dw) products.run({{dlogits, true}, {rows_of(head_.x, first, dlogits.rows)}, head_.dw, head_.dw});
  if (head_.dbias) add_column_sums(dlogits, head_.dbias, column_sums_, context_.stream());
}

OperatorPath path_of_head(const Head& head) {
  return {"cuBLASLt and own kernel", std::to_string(block_rows(head)) + " rows of logits at a time"};
}

}  // namespace caravan::cuda
