#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "caravan/tensor.hpp"
#include "core/ops/reference/array.hpp"

namespace caravan::reference {

/// In an expected shape: any extent.
inline constexpr std::int64_t kAny = -1;

/// One call of an operator. Turns its views into arrays after checking dtype and shape; DeviceError
/// otherwise.
class Call {
 public:
  explicit Call(std::string_view operator_name) : operator_(operator_name) {}

  template <class T, int Rank>
  Array<T, Rank> array(std::string_view name, const TensorView& view,
                       const std::array<std::int64_t, Rank>& shape) const {
    check(name, view, dtype_of<T>, shape.data(), Rank);
    Array<T, Rank> result{view.as<T>(), {}, {}};
    for (int axis = 0; axis < Rank; ++axis) {
      result.extents[static_cast<std::size_t>(axis)] = view.extent(axis);
      result.strides[static_cast<std::size_t>(axis)] = view.stride(axis);
    }
    return result;
  }
  template <class T = float>
  Vector<T> vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return array<T, 1>(name, view, {count});
  }
  template <class T = float>
  Matrix<T> matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                   std::int64_t columns) const {
    return array<T, 2>(name, view, {rows, columns});
  }
  /// A member that may be switched off by an empty view.
  template <class T = float>
  Vector<T> optional_vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return view.empty() ? Vector<T>{} : vector<T>(name, view, count);
  }
  template <class T = float>
  Matrix<T> optional_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                            std::int64_t columns) const {
    return view.empty() ? Matrix<T>{} : matrix<T>(name, view, rows, columns);
  }
  /// Any shape, contiguous, seen as one axis; with `count` other than kAny it must have so many elements.
  template <class T = float>
  Vector<T> flat(std::string_view name, const TensorView& view, std::int64_t count) const {
    check_flat(name, view, dtype_of<T>, count);
    return {view.as<T>(), {view.count()}, {1}};
  }

  /// Rows at positions first_position + row mod sequence_length must lie inside a table of positions.
  void check_positions(std::int64_t rows, std::int64_t sequence_length, std::int64_t first_position,
                       std::int64_t table_rows) const;
  /// Ascending row offsets of experts within [0, rows].
  void check_offsets(const Vector<std::int32_t>& offsets, std::int64_t rows) const;
  /// A probability of dropout in [0, 1).
  void check_probability(float probability) const;

  /// `problem` is text for "operator on device 'reference': problem".
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  void check(std::string_view name, const TensorView& view, DType dtype, const std::int64_t* shape,
             int rank) const;
  void check_flat(std::string_view name, const TensorView& view, DType dtype, std::int64_t count) const;

  std::string_view operator_;
};

}  // namespace caravan::reference
