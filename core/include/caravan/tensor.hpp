#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace caravan {

enum class DType : std::uint8_t { f32, f64, bf16, f16, i32, i64, u8 };

std::size_t size_of(DType type) noexcept;
std::string_view name_of(DType type) noexcept;

template <class T>
inline constexpr DType dtype_of = DType::u8;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;

/// Extents of a tensor, outermost first; at most four.
class Shape {
 public:
  static constexpr int kMaxRank = 4;
  constexpr Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents);

  int rank() const noexcept { return rank_; }
  std::int64_t operator[](int axis) const noexcept { return extents_[static_cast<std::size_t>(axis)]; }
  void set(int axis, std::int64_t extent) noexcept { extents_[static_cast<std::size_t>(axis)] = extent; }
  void append(std::int64_t extent);
  /// Product of the extents; throws Error when it does not fit 63 bits.
  std::int64_t count() const;
  bool operator==(const Shape&) const = default;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// "[2, 3]"
std::string to_string(const Shape& shape);

/// Non-owning window on memory of some device: pointer, element type, extents and strides in elements.
/// Trivially copyable; whoever allocated the memory keeps it alive.
struct TensorView {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  std::array<std::int64_t, Shape::kMaxRank> strides{};

  TensorView() = default;
  /// Row-major and contiguous.
  TensorView(void* data, DType dtype, const Shape& shape);

  bool empty() const noexcept { return data == nullptr; }
  std::int64_t count() const { return shape.count(); }
  std::int64_t extent(int axis) const noexcept { return shape[axis]; }
  std::int64_t stride(int axis) const noexcept { return strides[static_cast<std::size_t>(axis)]; }
  std::size_t bytes() const;
  bool contiguous() const noexcept;
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(data);
  }

  /// Rows [begin, end) of axis 0.
  TensorView rows(std::int64_t begin, std::int64_t end) const;
  /// [begin, end) of any axis.
  TensorView slice(int axis, std::int64_t begin, std::int64_t end) const;
  /// The same contiguous memory under another shape with the same count.
  TensorView reshape(const Shape& shape) const;
};

}  // namespace caravan
