#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <string_view>

#include "caravan/ops/routing.hpp"
#include "caravan/tensor.hpp"
#include "caravan/view_check.hpp"

namespace caravan::host {

using Line = Eigen::Map<Eigen::ArrayXf>;
using ConstLine = Eigen::Map<const Eigen::ArrayXf>;

/// A checked 2-D view: rows may have a stride, columns are adjacent. Null when the optional member is off.
template <class T>
struct Rows {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t stride = 0;

  explicit operator bool() const noexcept { return data != nullptr; }
  T* row(std::int64_t index) const noexcept { return data + index * stride; }
  Line line(std::int64_t index) const noexcept { return Line(row(index), columns); }
};
using Matrix = Rows<float>;

inline constexpr std::int64_t kAny = kAnyExtent;

/// Turns the views of one call into what loops use, after checking dtype and shape; DeviceError names both
/// otherwise.
class Call {
 public:
  explicit Call(std::string_view operator_name) : operator_(operator_name) {}

  Matrix matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                std::int64_t columns) const {
    check(name, view, {DType::f32, 2, {rows, columns}});
    return {view.as<float>(), view.extent(0), view.extent(1), view.stride(0)};
  }
  Matrix optional_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                         std::int64_t columns) const {
    return view.empty() ? Matrix{} : matrix(name, view, rows, columns);
  }
  Rows<std::int32_t> index_matrix(std::string_view name, const TensorView& view, std::int64_t rows,
                                  std::int64_t columns) const {
    check(name, view, {DType::i32, 2, {rows, columns}});
    return {view.as<std::int32_t>(), view.extent(0), view.extent(1), view.stride(0)};
  }
  float* vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    check(name, view, {DType::f32, 1, {count}});
    return view.as<float>();
  }
  float* optional_vector(std::string_view name, const TensorView& view, std::int64_t count) const {
    return view.empty() ? nullptr : vector(name, view, count);
  }
  std::int32_t* indices(std::string_view name, const TensorView& view, std::int64_t count) const {
    check(name, view, {DType::i32, 1, {count}});
    return view.as<std::int32_t>();
  }
  /// Any shape, contiguous, as one row; `count` other than kAny must agree.
  Line flat(std::string_view name, const TensorView& view, std::int64_t count) const;
  double* scalar_f64(std::string_view name, const TensorView& view) const {
    check(name, view, {DType::f64, 1, {1}});
    return view.as<double>();
  }
  /// Ascending row offsets of experts within [0, rows].
  void check_offsets(const std::int32_t* offsets, std::int64_t experts, std::int64_t rows) const;
  /// The experts [T, K] that tokens have chosen must exist.
  void check_experts(const Rows<std::int32_t>& chosen, std::int64_t experts) const;

  /// The rule must fit the experts.
  void check_rule(const RouterRule& rule, std::int64_t experts) const;
  void check(std::string_view name, const TensorView& view, const ExpectedView& expected) const;
  /// DeviceError "operator on device 'host': problem"
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  std::string_view operator_;
};

}  // namespace caravan::host
