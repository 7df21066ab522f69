#include "io/checkpoint/piece.hpp"

#include "caravan/check.hpp"

#include <algorithm>

namespace caravan::io {
namespace {

std::int64_t rows_of(const Shape& shape) {
  return shape.rank() == 0 ? 1 : shape[0];
}

/// Rows of a piece at [start, start + bytes) of all pieces' bytes whose first byte lies before `cut`.
std::int64_t rows_before(std::uint64_t cut, std::uint64_t start, const Piece& piece) {
  const auto rows = static_cast<std::uint64_t>(rows_of(piece.shape()));
  if (rows == 0 || cut <= start) return 0;
  const std::uint64_t row_bytes = std::max<std::uint64_t>(piece.bytes() / rows, 1);
  return static_cast<std::int64_t>(std::min(rows, (cut - start + row_bytes - 1) / row_bytes));
}

Piece rows_of_piece(const Piece& piece, std::int64_t begin, std::int64_t end) {
  Piece rows = piece;
  if (piece.shape().rank() == 0) return rows;
  rows.box.origin[0] += begin;
  rows.box.extents.set(0, end - begin);
  return rows;
}

/// Calls visit(index of the piece, begin, end) for the rows that a writer stores of each.
template <class Visit>
void for_each_share(const std::vector<Piece>& held, int writer, int writers, const Visit& visit) {
  CARAVAN_EXPECT(writers > 0 && writer >= 0 && writer < writers);
  std::uint64_t total = 0;
  for (const Piece& piece : held) total += piece.bytes();
  const auto cut_of = [&](int index) {
    return total / static_cast<std::uint64_t>(writers) * static_cast<std::uint64_t>(index);
  };
  std::uint64_t start = 0;
  for (std::size_t index = 0; index < held.size(); ++index) {
    const Piece& piece = held[index];
    const std::int64_t rows = rows_of(piece.shape());
    // An empty tensor has no bytes to share; the first writer keeps its name and shape.
    if (piece.bytes() == 0 && writer == 0) visit(index, std::int64_t{0}, rows);
    const std::int64_t begin = rows_before(cut_of(writer), start, piece);
    const std::int64_t end = writer + 1 == writers ? rows : rows_before(cut_of(writer + 1), start, piece);
    if (piece.bytes() > 0 && begin < end) visit(index, begin, end);
    start += piece.bytes();
  }
}

}  // namespace

Piece Piece::whole(TensorRecord tensor) {
  const Box box = Box::whole(tensor.shape);
  return {std::move(tensor), box};
}

Piece Piece::rows(TensorRecord tensor, std::int64_t row, std::int64_t rows) {
  return rows_of_piece(whole(std::move(tensor)), row, row + rows);
}

std::vector<Share> divide(const std::vector<Piece>& held, int writer, int writers) {
  std::vector<Share> shares;
  for_each_share(held, writer, writers, [&](std::size_t index, std::int64_t begin, std::int64_t end) {
    shares.push_back({index, rows_of_piece(held[index], begin, end)});
  });
  return shares;
}

std::vector<std::uint64_t> bytes_of_shares(const std::vector<Piece>& held, int writer, int writers) {
  std::vector<std::uint64_t> bytes;
  for_each_share(held, writer, writers, [&](std::size_t index, std::int64_t begin, std::int64_t end) {
    const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(rows_of(held[index].shape()), 1));
    bytes.push_back(held[index].bytes() / rows * static_cast<std::uint64_t>(end - begin));
  });
  return bytes;
}

std::vector<Piece> share_of(const std::vector<TensorRecord>& tensors, int writer, int writers) {
  std::vector<Piece> held;
  for (const TensorRecord& tensor : tensors) held.push_back(Piece::whole(tensor));
  std::vector<Piece> pieces;
  for (Share& share : divide(held, writer, writers)) pieces.push_back(std::move(share.piece));
  return pieces;
}

std::vector<Box> runs_of(const Piece& piece) {
  const Box& box = piece.box;
  const Shape& whole = piece.tensor.shape;
  int axis = std::max(whole.rank() - 1, 0);  // the outermost of which several indices lie together
  while (axis > 0 && box.extents[axis] == whole[axis]) --axis;
  Box run = box;
  std::int64_t runs = 1;
  for (int outer = 0; outer < axis; ++outer) {
    runs *= box.extents[outer];
    run.extents.set(outer, 1);
  }
  std::vector<Box> all;
  for (std::int64_t index = 0; index < runs; ++index) {
    for (std::int64_t outer = axis, rest = index; outer-- > 0;) {
      const auto at = static_cast<std::size_t>(outer);
      run.origin[at] = box.origin[at] + rest % box.extents[static_cast<int>(outer)];
      rest /= box.extents[static_cast<int>(outer)];
    }
    all.push_back(run);
  }
  return all;
}

}  // namespace caravan::io
