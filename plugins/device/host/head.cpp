#include "head.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "caravan/ops/loss.hpp"
#include "linear_parts.hpp"
#include "vec.hpp"

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

}  // namespace

void check_labels(const Call& call, const Head& head, const IdRange& all) {
  for (std::int64_t t = 0; t < head.x.rows; ++t) {
    const std::int32_t label = head.labels[t];
    if (label == kIgnoredLabel || all.has(label)) continue;
    call.fail(fmt::format("label {} of token {} (the vocabulary has {} entries{})", label, t, all.count,
                          all.from_where()));
  }
}

LogitBlocks::LogitBlocks(const Head& head, Workspace& scratch)
    : head_(head), rows_(std::min(block_rows(head.w.rows), head.x.rows)), stride_(padded(head.w.rows)) {
  scratch.begin(static_cast<std::size_t>(rows_ * stride_ + 2 * rows_), 2);
  buffer_ = scratch.take(static_cast<std::size_t>(rows_ * stride_));
  numbers_ = scratch.take_as<double>(static_cast<std::size_t>(rows_));
}

Matrix LogitBlocks::make(std::int64_t first) const {
  const std::int64_t vocabulary = head_.w.rows;
  const Matrix z{buffer_, std::min(rows_, head_.x.rows - first), stride_, stride_};
  head_.products.multiply({z.rows, vocabulary, head_.x.columns}, {head_.x.row(first), head_.x.stride},
                          {head_.w.data, head_.w.stride, true}, {z.data, z.stride});
  head_.team.for_each(z.rows, vocabulary, [&](std::int64_t r, std::int64_t) {
    Line row(z.row(r), vocabulary);
    if (head_.bias) row += ConstLine(head_.bias, vocabulary);
    if (head_.logits) head_.logits.line(first + r) = row;
    std::fill(z.row(r) + vocabulary, z.row(r) + z.stride, -std::numeric_limits<float>::infinity());
  });
  return z;
}

float row_maximum(const float* z, std::int64_t columns) {
  Vec best = load(z);
  for (std::int64_t v = kLanes; v < columns; v += kLanes) best = larger(load(z + v), best);
  return largest_of(best);
}

/// Partial sums of 4096 columns go to double, so that the error does not grow with the vocabulary.
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

void add_gradients(const Head& head, std::int64_t first, const Matrix& dz) {
  const std::int64_t vocabulary = head.w.rows, width = head.x.columns;
  head.products.multiply({dz.rows, width, vocabulary}, {dz.data, dz.stride}, {head.w.data, head.w.stride},
                         {head.dx.row(first), head.dx.stride});
  if (head.dw) {
    head.products.multiply({vocabulary, width, dz.rows}, {dz.data, dz.stride, true},
                           {head.x.row(first), head.x.stride},
                           {head.dw.data, head.dw.stride, Result::accumulate});
  }
  if (head.dbias) add_column_sums(head.team, {dz.data, dz.rows, vocabulary, dz.stride}, head.dbias);
}

}  // namespace caravan::host
