#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "caravan/tensor.hpp"
#include "caravan/view_check.hpp"

namespace caravan::cuda {

inline constexpr std::int64_t kAny = kAnyExtent;

/// A checked 2-D view: rows may have a stride, columns are adjacent. Null when the optional member is off.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;  ///< elements between rows

  explicit operator bool() const noexcept { return data != nullptr; }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data);
  }
};

/// True when rows of all of these can be read 16 bytes at a time: columns are a multiple of 8, and every row
/// starts on 16 bytes. Absent matrices do not count.
bool rows_of_16_bytes(std::initializer_list<Matrix> matrices);

/// The same for contiguous memory of any length: only the start counts.
bool starts_on_16_bytes(std::initializer_list<Matrix> matrices);

/// Turns the views of one call into what kernels take, after checking dtype and shape; DeviceError names the
/// operator, the argument and both shapes otherwise. It reads no device memory.
class Call {
 public:
  explicit Call(std::string_view operator_name) : operator_(operator_name) {}

  /// The type of an activation or weight: f32 or bf16.
  DType compute_type(std::string_view name, const TensorView& view) const;

  Matrix matrix(std::string_view name, const TensorView& view, DType dtype, std::int64_t rows,
                std::int64_t columns) const {
    check(name, view, {dtype, 2, {rows, columns}});
    return {view.data, dtype, view.extent(0), view.extent(1), view.stride(0)};
  }
  Matrix optional_matrix(std::string_view name, const TensorView& view, DType dtype, std::int64_t rows,
                         std::int64_t columns) const {
    return view.empty() ? Matrix{} : matrix(name, view, dtype, rows, columns);
  }
  /// [count] of any type, as one row with `columns` = count.
  Matrix vector(std::string_view name, const TensorView& view, DType dtype, std::int64_t count) const {
    check(name, view, {dtype, 1, {count}});
    return {view.data, dtype, 1, view.extent(0), view.extent(0)};
  }
  float* floats(std::string_view name, const TensorView& view, std::int64_t count) const {
    return vector(name, view, DType::f32, count).as<float>();
  }
  float* optional_floats(std::string_view name, const TensorView& view, std::int64_t count) const {
    return view.empty() ? nullptr : floats(name, view, count);
  }
  std::int32_t* indices(std::string_view name, const TensorView& view, std::int64_t count) const {
    return vector(name, view, DType::i32, count).as<std::int32_t>();
  }
  double* scalar_f64(std::string_view name, const TensorView& view) const {
    return vector(name, view, DType::f64, 1).as<double>();
  }
  /// Any shape, contiguous, as one row; `count` other than kAny must agree.
  Matrix flat(std::string_view name, const TensorView& view, DType dtype, std::int64_t count) const;

  void check(std::string_view name, const TensorView& view, const ExpectedView& expected) const;
  /// DeviceError "operator on device 'cuda': problem"
  [[noreturn]] void fail(const std::string& problem) const;

 private:
  std::string_view operator_;
};

}  // namespace caravan::cuda
