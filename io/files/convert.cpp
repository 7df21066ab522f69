#include "io/files/convert.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace caravan::io {
namespace {

static_assert(std::endian::native == std::endian::little,
              "file formats here are little-endian and read in place");

constexpr std::int64_t kTile = 32;

/// A view with leading axes of extent 1 put in front, so that one loop nest serves ranks 0 to 4.
TensorView with_four_axes(const TensorView& view) {
  TensorView full = view;
  full.shape = Shape{1, 1, 1, 1};
  full.strides = {0, 0, 0, 0};
  const int lead = Shape::kMaxRank - view.shape.rank();
  for (int axis = 0; axis < view.shape.rank(); ++axis) {
    full.shape.set(lead + axis, view.shape[axis]);
    full.strides[static_cast<std::size_t>(lead + axis)] = view.stride(axis);
  }
  return full;
}

template <class T>
T load(const std::byte* at) noexcept {
  T value;  // a file's tensor need not be aligned
  std::memcpy(&value, at, sizeof(T));
  return value;
}

struct Plane {
  std::int64_t rows, columns;
  std::int64_t from_row, from_column, to_row, to_column;  // strides in elements
};

template <class T>
void copy_tile(const Plane& plane, const std::byte* from, float* to, std::int64_t row, std::int64_t column) {
  const std::int64_t row_end = std::min(plane.rows, row + kTile),
                     column_end = std::min(plane.columns, column + kTile);
  for (std::int64_t r = row; r < row_end; ++r) {
    for (std::int64_t c = column; c < column_end; ++c) {
      const auto at = (r * plane.from_row + c * plane.from_column) * static_cast<std::int64_t>(sizeof(T));
      to[r * plane.to_row + c * plane.to_column] = to_float(load<T>(from + at));
    }
  }
}

template <class T>
void copy_row(const Plane& plane, const std::byte* from, float* to, std::int64_t row) {
  const std::byte* source = from + row * plane.from_row * static_cast<std::int64_t>(sizeof(T));
  float* target = to + row * plane.to_row;
  if constexpr (std::is_same_v<T, float>) {
    std::memcpy(target, source, static_cast<std::size_t>(plane.columns) * sizeof(float));
  } else {
    for (std::int64_t c = 0; c < plane.columns; ++c) {
      target[c] = to_float(load<T>(source + c * static_cast<std::int64_t>(sizeof(T))));
    }
  }
}

template <class T>
void copy_plane(const Plane& plane, const std::byte* from, float* to) {
  if (plane.from_column == 1 && plane.to_column == 1) {
    for (std::int64_t r = 0; r < plane.rows; ++r) copy_row<T>(plane, from, to, r);
    return;
  }
  for (std::int64_t r = 0; r < plane.rows; r += kTile) {
    for (std::int64_t c = 0; c < plane.columns; c += kTile) copy_tile<T>(plane, from, to, r, c);
  }
}

template <class T>
void copy_planes(const TensorView& from, const TensorView& to) {
  if (from.count() == 0) return;  // its other extents may be beyond all counting
  const Plane plane{from.extent(2), from.extent(3), from.stride(2),
                    from.stride(3), to.stride(2),   to.stride(3)};
  for (std::int64_t i = 0; i < from.extent(0); ++i) {
    for (std::int64_t j = 0; j < from.extent(1); ++j) {
      const auto* source = from.as<const std::byte>() +
                           (i * from.stride(0) + j * from.stride(1)) * static_cast<std::int64_t>(sizeof(T));
      copy_plane<T>(plane, source, to.as<float>() + i * to.stride(0) + j * to.stride(1));
    }
  }
}

}  // namespace

float to_float(Half value) noexcept {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1Fu;
  const std::uint32_t mantissa = value.bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float tiny = static_cast<float>(mantissa) * 0x1p-24f;  // exact
  return sign ? -tiny : tiny;
}

void copy_to_f32(const TensorView& from, const TensorView& to) {
  CARAVAN_CHECK(
      to.dtype == DType::f32 && from.shape == to.shape, IoError,
      fmt::format("cannot copy {} {} to {} {} (the same shape in f32 was expected)", name_of(from.dtype),
                  to_string(from.shape), name_of(to.dtype), to_string(to.shape)));
  const TensorView source = with_four_axes(from), target = with_four_axes(to);
  switch (from.dtype) {
    case DType::f32:
      return copy_planes<float>(source, target);
    case DType::f64:
      return copy_planes<double>(source, target);
    case DType::bf16:
      return copy_planes<Bf16>(source, target);
    case DType::f16:
      return copy_planes<Half>(source, target);
    default:
      throw IoError(fmt::format("a tensor of {} cannot be read as f32", name_of(from.dtype)));
  }
}

}  // namespace caravan::io
