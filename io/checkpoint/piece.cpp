#include "io/checkpoint/piece.hpp"

#include "caravan/check.hpp"

#include <algorithm>

namespace caravan::io {
namespace {

/// Rows of a tensor at [start, start + bytes) of all tensors' bytes whose first byte lies before `cut`.
std::int64_t rows_before(std::uint64_t cut, std::uint64_t start, const TensorRecord& tensor) {
  const auto rows = static_cast<std::uint64_t>(Piece::rows_of(tensor.shape));
  if (rows == 0 || cut <= start) return 0;
  const std::uint64_t row_bytes = std::max<std::uint64_t>(tensor.bytes() / rows, 1);
  return static_cast<std::int64_t>(std::min(rows, (cut - start + row_bytes - 1) / row_bytes));
}

}  // namespace

Piece Piece::whole(TensorRecord tensor) {
  const std::int64_t rows = rows_of(tensor.shape);
  return {std::move(tensor), 0, rows};
}

Shape Piece::shape() const {
  Shape shape;
  for (int axis = 0; axis < tensor.shape.rank(); ++axis) shape.append(axis == 0 ? rows : tensor.shape[axis]);
  return shape;
}

std::vector<Piece> share_of(const std::vector<TensorRecord>& tensors, int writer, int writers) {
  CARAVAN_EXPECT(writers > 0 && writer >= 0 && writer < writers);
  std::uint64_t total = 0;
  for (const TensorRecord& tensor : tensors) total += tensor.bytes();
  const auto cut_of = [&](int index) {
    return total / static_cast<std::uint64_t>(writers) * static_cast<std::uint64_t>(index);
  };
  std::vector<Piece> share;
  std::uint64_t start = 0;
  for (const TensorRecord& tensor : tensors) {
    // An empty tensor has no bytes to share; the first writer keeps its name and shape.
    if (tensor.bytes() == 0 && writer == 0) share.push_back(Piece::whole(tensor));
    const std::int64_t begin = rows_before(cut_of(writer), start, tensor);
    const std::int64_t end =
        writer + 1 == writers ? Piece::rows_of(tensor.shape) : rows_before(cut_of(writer + 1), start, tensor);
    if (tensor.bytes() > 0 && begin < end) share.push_back({tensor, begin, end - begin});
    start += tensor.bytes();
  }
  return share;
}

}  // namespace caravan::io
