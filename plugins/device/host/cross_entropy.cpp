#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "gemm.hpp"
#include "host_ops.hpp"
#include "linear_parts.hpp"
#include "parallel.hpp"
#include "vec.hpp"
#include "view.hpp"

namespace caravan::host {
namespace {

/// Rows of logits that are at hand at a time: enough for the products to run at speed, few enough to stay in
/// the cache.
std::int64_t block_rows(std::int64_t vocabulary) {
  constexpr std::int64_t kFloats = std::int64_t{1} << 19;
  return std::clamp<std::int64_t>(kFloats / std::max<std::int64_t>(vocabulary, 1), 128, 512);
}

std::int64_t padded(std::int64_t columns) {
  return (columns + kLanes - 1) / kLanes * kLanes;
}

float row_maximum(const float* z, std::int64_t columns) {
  Vec best = load(z);
  for (std::int64_t v = kLanes; v < columns; v += kLanes) best = larger(load(z + v), best);
  return largest_of(best);
}

/// z ← e^(z − maximum); returns the sum. The columns beyond the vocabulary hold −∞ and add nothing that
/// counts. Partial sums of 4096 columns go to double, so that the error does not grow with the vocabulary.
double exponentiate(float* z, std::int64_t columns, float maximum) {
  constexpr std::int64_t kPart = 4096;
  const Vec log2e = broadcast(1.44269504088896340736f);
  double total = 0;
  for (std::int64_t begin = 0; begin < columns; begin += kPart) {
    Vec sums{};
    for (std::int64_t v = begin; v < std::min(begin + kPart, columns); v += kLanes) {
      const Vec e = exp2_bounded((load(z + v) - broadcast(maximum)) * log2e);
      store(z + v, e);
      sums += e;
    }
    total += sum_of(sums);
  }
  return total;
}

struct Head {
  Products& products;
  Matrix x, w, logits, dx, dw;
  const float* bias;
  float* dbias;
  const std::int32_t* labels;
  float gradient_scale;
};

Head check_head(const Call& call, const LinearCrossEntropy& args, Products& products) {
  Head head{.products = products};
  head.x = call.matrix("x", args.x, kAny, kAny);
  head.w = call.matrix("w", args.w, kAny, head.x.columns);
  head.logits = call.optional_matrix("logits", args.logits, head.x.rows, head.w.rows);
  head.bias = call.optional_vector("bias", args.bias, head.w.rows);
  head.labels = call.indices("labels", args.labels, head.x.rows);
  head.gradient_scale = args.gradient_scale;
  for (std::int64_t t = 0; t < head.x.rows; ++t) {
    if (head.labels[t] != kIgnoredLabel && (head.labels[t] < 0 || head.labels[t] >= head.w.rows)) {
      call.fail(fmt::format("label {} of token {} (the vocabulary has {} entries)", head.labels[t], t,
                            head.w.rows));
    }
  }
  head.dx = call.optional_matrix("dx", args.dx, head.x.rows, head.x.columns);
  if (!head.dx) return head;
  head.dw = call.optional_matrix("dw", args.dw, head.w.rows, head.w.columns);
  head.dbias = call.optional_vector("dbias", args.dbias, head.w.rows);
  return head;
}

/// Rows [first, first + z.rows) of the logits into z, whose padding becomes −∞.
void logits_block(const Head& head, std::int64_t first, const Matrix& z) {
  const std::int64_t vocabulary = head.w.rows;
  head.products.multiply({z.rows, vocabulary, head.x.columns}, {head.x.row(first), head.x.stride},
                         {head.w.data, head.w.stride, true}, {z.data, z.stride});
  for_each(z.rows, [&](std::int64_t r, std::int64_t) {
    Line row(z.row(r), vocabulary);
    if (head.bias) row += ConstLine(head.bias, vocabulary);
    if (head.logits) head.logits.line(first + r) = row;
    std::fill(z.row(r) + vocabulary, z.row(r) + z.stride, -std::numeric_limits<float>::infinity());
  });
}

/// The loss of one row; z becomes its gradient when that is wanted.
double loss_of_row(const Head& head, std::int64_t t, const Matrix& z, std::int64_t r) {
  const std::int32_t label = head.labels[t];
  float* row = z.row(r);
  if (label == kIgnoredLabel) {
    std::fill(row, row + z.stride, 0.0f);
    return 0;
  }
  const double at_label = row[label];
  const float maximum = row_maximum(row, z.stride);
  const double total = exponentiate(row, z.stride, maximum);
  if (head.dx) {
    Line(row, z.stride) *= static_cast<float>(head.gradient_scale / total);
    row[label] -= head.gradient_scale;
  }
  return std::log(total) + maximum - at_label;
}

void add_gradients(const Head& head, std::int64_t first, const Matrix& dz) {
  const std::int64_t vocabulary = head.w.rows, width = head.x.columns;
  head.products.multiply({dz.rows, width, vocabulary}, {dz.data, dz.stride}, {head.w.data, head.w.stride},
                         {head.dx.row(first), head.dx.stride});
  if (head.dw) {
    head.products.multiply({vocabulary, width, dz.rows}, {dz.data, dz.stride, true},
                           {head.x.row(first), head.x.stride},
                           {head.dw.data, head.dw.stride, Result::accumulate});
  }
  if (head.dbias) add_column_sums({dz.data, dz.rows, vocabulary, dz.stride}, head.dbias);
}

}  // namespace

void HostOps::linear_cross_entropy(const LinearCrossEntropy& args) {
  const Call call("linear_cross_entropy");
  const Head head = check_head(call, args, products_);
  double* loss_sum = call.scalar_f64("loss_sum", args.loss_sum);
  const std::int64_t block = std::min(block_rows(head.w.rows), head.x.rows), stride = padded(head.w.rows);
  Workspace& scratch = workspace(0);
  scratch.begin(static_cast<std::size_t>(block * stride + 2 * block), 2);
  float* buffer = scratch.take(static_cast<std::size_t>(block * stride));
  auto* losses = scratch.take_as<double>(static_cast<std::size_t>(block));
  for (std::int64_t first = 0; first < head.x.rows; first += block) {
    const Matrix z{buffer, std::min(block, head.x.rows - first), stride, stride};
    logits_block(head, first, z);
    for_each(z.rows, [&](std::int64_t r, std::int64_t) { losses[r] = loss_of_row(head, first + r, z, r); });
    for (std::int64_t r = 0; r < z.rows; ++r) *loss_sum += losses[r];
    if (head.dx) add_gradients(head, first, z);
  }
}

}  // namespace caravan::host
