#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/box.hpp"

namespace caravan::io {

/// A tensor as a checkpoint shows it, whatever file its elements lie in.
struct TensorRecord {
  std::string name;  ///< "/model/norm.weight"
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t bytes() const { return TensorView(nullptr, dtype, shape).bytes(); }
};

/// What one writer stores of a tensor: a box of it.
struct Piece {
  TensorRecord tensor;
  Box box;

  static Piece whole(TensorRecord tensor);
  /// Rows [row, row + rows) of axis 0.
  static Piece rows(TensorRecord tensor, std::int64_t row, std::int64_t rows);
  const Shape& shape() const { return box.extents; }
  std::uint64_t bytes() const { return TensorView(nullptr, tensor.dtype, box.extents).bytes(); }
};

/// Some of a piece that several writers hold.
struct Share {
  std::size_t held = 0;  ///< which of the held pieces
  Piece piece;
};
/// What writer `writer` of `writers` that hold the same pieces stores: as many bytes of them as the others up
/// to one index of axis 0 of a piece. All shares together are every element once.
std::vector<Share> divide(const std::vector<Piece>& held, int writer, int writers);
/// Bytes of each piece that it stores, counted without making them.
std::vector<std::uint64_t> bytes_of_shares(const std::vector<Piece>& held, int writer, int writers);
/// divide() of whole tensors.
std::vector<Piece> share_of(const std::vector<TensorRecord>& tensors, int writer, int writers);

/// The piece as boxes that lie together in the whole tensor, in row-major order.
std::vector<Box> runs_of(const Piece& piece);

}  // namespace caravan::io
