#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// A tensor as a checkpoint shows it, whatever file its elements lie in.
struct TensorRecord {
  std::string name;  ///< "/model/norm.weight"
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t bytes() const { return TensorView(nullptr, dtype, shape).bytes(); }
};

/// Rows [row, row + rows) of axis 0 of a tensor: what one writer stores of it. A tensor without axes is one
/// row.
struct Piece {
  TensorRecord tensor;
  std::int64_t row = 0, rows = 0;

  static Piece whole(TensorRecord tensor);
  Shape shape() const;  ///< of the rows
  std::uint64_t bytes() const { return TensorView(nullptr, tensor.dtype, shape()).bytes(); }

  static std::int64_t rows_of(const Shape& shape) { return shape.rank() == 0 ? 1 : shape[0]; }
};

/// What writer `writer` of `writers` that hold the same tensors stores: a stretch of rows, equal in bytes to
/// the others' up to one row. All shares together are every row once.
std::vector<Piece> share_of(const std::vector<TensorRecord>& tensors, int writer, int writers);

}  // namespace caravan::io
