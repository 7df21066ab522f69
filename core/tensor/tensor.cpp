#include "caravan/tensor.hpp"

#include <fmt/format.h>

#include <limits>

#include "caravan/check.hpp"

namespace caravan {
namespace {

/// An empty tensor may have extents whose product does not fit; nobody follows its strides.
void wrapping_multiply(std::int64_t& product, std::int64_t factor) {
  static_cast<void>(__builtin_mul_overflow(product, factor, &product));
}

}  // namespace

std::size_t size_of(DType type) noexcept {
  switch (type) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

std::string_view name_of(DType type) noexcept {
  switch (type) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  for (std::int64_t extent : extents) append(extent);
}

void Shape::append(std::int64_t extent) {
  CARAVAN_CHECK(rank_ < kMaxRank, Error, "a tensor has at most 4 axes");
  CARAVAN_CHECK(extent >= 0, Error, fmt::format("extent {} (must not be negative)", extent));
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::count() const {
  std::int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) {
    CARAVAN_CHECK(!__builtin_mul_overflow(product, (*this)[axis], &product), Error,
                  fmt::format("shape {} (its element count does not fit 63 bits)", to_string(*this)));
  }
  return product;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank(); ++axis) text += fmt::format("{}{}", axis ? ", " : "", shape[axis]);
  return text + "]";
}

TensorView::TensorView(void* data_, DType dtype_, const Shape& shape_)
    : data(data_), dtype(dtype_), shape(shape_) {
  std::int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    wrapping_multiply(stride, shape[axis]);
  }
}

std::size_t TensorView::bytes() const {
  std::size_t bytes = 0;
  CARAVAN_CHECK(
      !__builtin_mul_overflow(static_cast<std::size_t>(count()), size_of(dtype), &bytes), Error,
      fmt::format("shape {} of {} (its bytes do not fit 64 bits)", to_string(shape), name_of(dtype)));
  return bytes;
}

bool TensorView::contiguous() const noexcept {
  std::int64_t expected = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    if (shape[axis] != 1 && stride(axis) != expected) return false;
    wrapping_multiply(expected, shape[axis]);
  }
  return true;
}

TensorView TensorView::rows(std::int64_t begin, std::int64_t end) const {
  return slice(0, begin, end);
}

TensorView TensorView::slice(int axis, std::int64_t begin, std::int64_t end) const {
  CARAVAN_CHECK(axis >= 0 && axis < shape.rank() && begin >= 0 && begin <= end && end <= shape[axis], Error,
                fmt::format("slice [{}, {}) of axis {} of {}", begin, end, axis, to_string(shape)));
  TensorView part = *this;
  part.shape.set(axis, end - begin);
  if (data)
    part.data = static_cast<char*>(data) + static_cast<std::size_t>(begin * stride(axis)) * size_of(dtype);
  return part;
}

TensorView TensorView::reshape(const Shape& to) const {
  CARAVAN_CHECK(contiguous() && to.count() == count(), Error,
                fmt::format("cannot see {} as {} (same count and contiguous memory needed)", to_string(shape),
                            to_string(to)));
  return TensorView(data, dtype, to);
}

}  // namespace caravan
