#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "caravan/tensor.hpp"
#include "caravan/view_check.hpp"
#include "core/ops/reference/array.hpp"
#include "core/ops/reference/widened.hpp"

namespace caravan::reference {

/// In an expected shape: any extent.
inline constexpr std::int64_t kAny = kAnyExtent;

/// One call of an operator. Turns its views into arrays after checking dtype and shape; DeviceError
/// otherwise. Arrays of float stand for views of the compute type, f32 or bf16, which must be one for the
/// whole call; what is f32 whatever the compute type is asked for with f32_*. The operator sees bf16 views as
/// f32 arrays, which are rounded back when the call ends.
class Call {
 public:
  explicit Call(std::string_view operator_name) : operator_(operator_name) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  template <class T, int Rank>
  Array<T, Rank> array(std::string_view name, const TensorView& view,
                       const std::array<std::int64_t, Rank>& shape) const {
    if constexpr (std::is_same_v<T, float>) check_compute_type(name, view);
    return typed<T, Rank>(name, view, shape, std::is_same_v<T, float> ? view.dtype : dtype_of<T>);
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
  Vector<float> optional_vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return view.empty() ? Vector<float>{} : vector(name, view, count);
  }
  Matrix<float> optional_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                                std::int64_t columns) const {
    return view.empty() ? Matrix<float>{} : matrix(name, view, rows, columns);
  }
  /// Any shape, contiguous, seen as one axis; with `count` other than kAny it must have so many elements.
  Vector<float> flat(std::string_view name, const TensorView& view, std::int64_t count) const {
    check_compute_type(name, view);
    return typed<float, 1>(name, check_flat(name, view, count), {kAny}, view.dtype);
  }

  template <int Rank>
  Array<float, Rank> f32_array(std::string_view name, const TensorView& view,
                               const std::array<std::int64_t, Rank>& shape) const {
    return typed<float, Rank>(name, view, shape, DType::f32);
  }
  Vector<float> f32_vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return f32_array<1>(name, view, {count});
  }
  Matrix<float> f32_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                           std::int64_t columns) const {
    return f32_array<2>(name, view, {rows, columns});
  }
  Vector<float> optional_f32_vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return view.empty() ? Vector<float>{} : f32_vector(name, view, count);
  }
  Matrix<float> optional_f32_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                                    std::int64_t columns) const {
    return view.empty() ? Matrix<float>{} : f32_matrix(name, view, rows, columns);
  }
  Vector<float> f32_flat(std::string_view name, const TensorView& view, std::int64_t count) const {
    return f32_vector(name, check_flat(name, view, count), kAny);
  }

  /// Ascending row offsets of experts within [0, rows].
  void check_offsets(const Vector<std::int32_t>& offsets, std::int64_t rows) const;
  /// A probability of dropout in [0, 1).
  void check_probability(float probability) const;

  /// `problem` is text for "operator on device 'reference': problem".
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  template <class T, int Rank>
  Array<T, Rank> typed(std::string_view name, const TensorView& view,
                       const std::array<std::int64_t, Rank>& shape, DType dtype) const {
    ExpectedView expected{dtype, Rank, {}};
    std::copy(shape.begin(), shape.end(), expected.shape);
    check(name, view, expected);
    const TensorView seen = dtype == DType::bf16 ? widened_.f32_of(view) : view;
    Array<T, Rank> result{seen.as<T>(), {}, {}};
    for (int axis = 0; axis < Rank; ++axis) {
      result.extents[static_cast<std::size_t>(axis)] = seen.extent(axis);
      result.strides[static_cast<std::size_t>(axis)] = seen.stride(axis);
    }
    return result;
  }
  void check(std::string_view name, const TensorView& view, const ExpectedView& expected) const;
  void check_compute_type(std::string_view name, const TensorView& view) const;
  /// `view` as one axis.
  TensorView check_flat(std::string_view name, const TensorView& view, std::int64_t count) const;

  std::string_view operator_;
  mutable std::string_view first_;  ///< name of the first view of the compute type
  mutable DType compute_ = DType::f32;
  mutable Widened widened_;
};

}  // namespace caravan::reference
