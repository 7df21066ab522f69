#include "io/convert/made_tensor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "caravan/check.hpp"
#include "io/files/axes.hpp"

namespace caravan::io {
namespace {

constexpr std::int64_t kBlockBytes = std::int64_t{16} << 20, kMostRowBytes = std::int64_t{256} << 20,
                       kPage = 4096;

TensorView without_first_axis(const TensorView& view) {
  TensorView rest = view;
  rest.shape = Shape{};
  rest.strides = {};
  for (int axis = 1; axis < view.shape.rank(); ++axis) {
    rest.shape.append(view.extent(axis));
    rest.strides[static_cast<std::size_t>(axis) - 1] = view.stride(axis);
  }
  return rest;
}

void make_part(const WeightSource& source, const MadePart& part, const Box& block, const TensorView& to,
               int threads) {
  const Box common = intersection(part.at, block);
  if (common.extents.count() == 0) return;
  Origin origin = moved(common, part.at.origin).origin;
  TensorView view = block_of(to, moved(common, block.origin));
  if (part.is_layer) {
    view = without_first_axis(view);
    std::rotate(origin.begin(), origin.begin() + 1, origin.end());
  }
  if (part.transposed) {
    const auto last = static_cast<std::size_t>(view.shape.rank() - 1);
    std::swap(origin[last], origin[last - 1]);
    view = with_last_axes_exchanged(view);
  }
  for (std::size_t axis = 0; axis < origin.size(); ++axis) origin[axis] += part.from[axis];
  source.read_block(part.source, origin, view, threads);
}

bool is_covered(const MadeTensor& tensor) {
  std::int64_t covered = 0;
  for (const MadePart& part : tensor.parts) covered += part.at.extents.count();
  return covered == tensor.shape.count();
}

/// As many rows as fit `most` bytes, in whole pages where that is possible.
std::int64_t rows_within(std::int64_t most, std::int64_t row_bytes) {
  const std::int64_t rows = std::max<std::int64_t>(most / row_bytes, 1);
  const std::int64_t step = kPage / std::gcd(row_bytes, kPage);
  return rows < step ? rows : rows / step * step;
}

void add_rows(const Box& whole, int axis, std::int64_t rows, std::vector<Box>& blocks) {
  for (std::int64_t row = 0; row < whole.extents[axis]; row += rows) {
    Box block = whole;
    block.origin[static_cast<std::size_t>(axis)] += row;
    block.extents.set(axis, std::min(rows, whole.extents[axis] - row));
    blocks.push_back(block);
  }
}

}  // namespace

MadeTensor MadeTensor::copy(std::string name, const NamedShape& of, DType dtype) {
  return {std::move(name), dtype, of.shape, of.shape, {{of.name, {}, Box::whole(of.shape), false}}};
}

void make_block(const WeightSource& source, const MadeTensor& tensor, const Box& block, const TensorView& to,
                int threads) {
  try {
    if (!is_covered(tensor)) std::memset(to.data, 0, to.bytes());
    for (const MadePart& part : tensor.parts) make_part(source, part, block, to, threads);
  } catch (const IoError& error) {
    throw IoError(fmt::format("{}: {}", tensor.name, error.what()));
  }
}

std::vector<Box> blocks_of(const MadeTensor& tensor) {
  const Box whole = Box::whole(tensor.shape);
  if (tensor.shape.count() == 0) return {};
  if (tensor.shape.rank() == 0) return {whole};
  const auto bytes = static_cast<std::int64_t>(tensor.bytes());
  const std::int64_t row_bytes = bytes / tensor.shape[0];
  std::vector<Box> rows, blocks;
  if (row_bytes <= kMostRowBytes || tensor.shape.rank() == 1) {
    add_rows(whole, 0, rows_within(kBlockBytes, row_bytes), blocks);
    return blocks;
  }
  add_rows(whole, 0, 1, rows);
  for (const Box& row : rows) add_rows(row, 1, rows_within(kBlockBytes, row_bytes / tensor.shape[1]), blocks);
  return blocks;
}

}  // namespace caravan::io
