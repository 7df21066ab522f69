#include "io/files/convert.hpp"

#include "caravan/bf16.hpp"
#include "caravan/check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "io/files/transposed_tile.hpp"

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
constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));

[[noreturn]] void refuse_value(double value, const char* type, const char* instead) {
  throw IoError(
      fmt::format("the value {} does not fit {} (it would become infinite). {}?", value, type, instead));
}

/// The nearest float; IoError where that is infinite and the value is not.
template <class From>
float narrowed(From value) {
  const float near = to_float(value);
  if constexpr (std::is_same_v<From, double>)
    if (std::isinf(near) && std::isfinite(value)) [[unlikely]]
      refuse_value(value, "fp32", "Is it damaged");
  return near;
}

/// The float that rounds to fewer bits as the value does: of an inexact one the neighbour whose last bit is
/// 1, which is no tie and lies on the same side of all of them. The nearest float may be a tie that the value
/// is not.
float rounded_to_odd(double value, const char* type) {
  const float near = to_float(value);
  if (std::isinf(near) && std::isfinite(value)) [[unlikely]]
    refuse_value(value, type, "Is it damaged");
  const auto bits = std::bit_cast<std::uint32_t>(near);
  if (std::isnan(value) || static_cast<double>(near) == value || (bits & 1u) != 0) return near;
  const bool is_above = std::abs(static_cast<double>(near)) > std::abs(value);
  return std::bit_cast<float>(is_above ? bits - 1 : bits + 1);
}

float for_fewer_bits(double value, const char* type) {
  return rounded_to_odd(value, type);
}

template <class From>
float for_fewer_bits(From value, const char*) {
  return to_float(value);
}

Bf16 to_finite_bf16(float value) {
  const std::uint16_t bits = to_bf16(value);
  if ((bits & 0x7FFFu) == 0x7F80u && std::isfinite(value)) [[unlikely]]
    refuse_value(value, "bf16", "fp32");
  return {bits};
}

/// One element as another type.
template <class To, class From>
To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, Bf16>) {
    return to_finite_bf16(for_fewer_bits(value, "bf16"));
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(for_fewer_bits(value, "fp16"));
  } else {
    return narrowed(value);
  }
}

template <class From, class To>
void copy_element(const std::byte* from, std::byte* to) {
  const To value = converted<To>(load<From>(from));
  std::memcpy(to, &value, sizeof(To));
}

/// A full tile of which rows lie together in the target and columns in the source; steps are bytes.
template <class T>
void transpose_tile(const std::byte* from, std::int64_t from_step, std::byte* to, std::int64_t to_step) {
  constexpr std::int64_t kSide = TransposedTile<T>::kSide;
  for (std::int64_t r = 0; r < kTile; r += kSide) {
    for (std::int64_t c = 0; c < kTile; c += kSide)
      TransposedTile<T>::copy(from + r * kBytes<T> + c * from_step, from_step,
                              to + r * to_step + c * kBytes<T>, to_step);
  }
}

template <class From, class To>
void copy_transposed(const Plane& plane, const std::byte* from, std::byte* to, std::int64_t row,
                     std::int64_t column) {
  from += (row + column * plane.from_column) * kBytes<From>;
  to += (row * plane.to_row + column) * kBytes<To>;
  const std::int64_t from_step = plane.from_column * kBytes<From>, to_step = plane.to_row * kBytes<To>;
  if constexpr (std::is_same_v<From, To>) return transpose_tile<To>(from, from_step, to, to_step);
  std::array<std::byte, kTile * kTile * sizeof(From)> tile;
  transpose_tile<From>(from, from_step, tile.data(), kTile * kBytes<From>);
  for (std::int64_t r = 0; r < kTile; ++r) {
    for (std::int64_t c = 0; c < kTile; ++c)
      copy_element<From, To>(tile.data() + (r * kTile + c) * kBytes<From>, to + r * to_step + c * kBytes<To>);
  }
}

template <class From, class To>
void copy_tile(const Plane& plane, const std::byte* from, std::byte* to, std::int64_t row,
               std::int64_t column) {
  const std::int64_t row_end = std::min(plane.rows, row + kTile),
                     column_end = std::min(plane.columns, column + kTile);
  if constexpr (TransposedTile<From>::kExists) {
    const bool is_full = row_end - row == kTile && column_end - column == kTile;
    if (is_full && plane.from_row == 1 && plane.to_column == 1)
      return copy_transposed<From, To>(plane, from, to, row, column);
  }
  for (std::int64_t r = row; r < row_end; ++r) {
    for (std::int64_t c = column; c < column_end; ++c) {
      copy_element<From, To>(from + (r * plane.from_row + c * plane.from_column) * kBytes<From>,
                             to + (r * plane.to_row + c * plane.to_column) * kBytes<To>);
    }
  }
}

template <class From, class To>
void copy_row(const Plane& plane, const std::byte* from, std::byte* to, std::int64_t row) {
  const std::byte* source = from + row * plane.from_row * kBytes<From>;
  std::byte* target = to + row * plane.to_row * kBytes<To>;
  if constexpr (std::is_same_v<From, To>) {
    std::memcpy(target, source, static_cast<std::size_t>(plane.columns) * sizeof(To));
  } else {
    for (std::int64_t c = 0; c < plane.columns; ++c)
      copy_element<From, To>(source + c * kBytes<From>, target + c * kBytes<To>);
  }
}

template <class From, class To>
void copy_plane(const Plane& plane, const std::byte* from, std::byte* to) {
  if (plane.from_column == 1 && plane.to_column == 1) {
    for (std::int64_t r = 0; r < plane.rows; ++r) copy_row<From, To>(plane, from, to, r);
    return;
  }
  for (std::int64_t r = 0; r < plane.rows; r += kTile) {
    for (std::int64_t c = 0; c < plane.columns; c += kTile) copy_tile<From, To>(plane, from, to, r, c);
  }
}

/// With columns that lie together in the target, where either of its axes does.
Plane plane_of(const TensorView& from, const TensorView& to) {
  const Plane plane{from.extent(2), from.extent(3), from.stride(2),
                    from.stride(3), to.stride(2),   to.stride(3)};
  if (plane.to_column == 1 || plane.to_row != 1) return plane;
  return {plane.columns, plane.rows, plane.from_column, plane.from_row, plane.to_column, plane.to_row};
}

template <class From, class To>
void copy_planes(const TensorView& from, const TensorView& to) {
  if (from.count() == 0) return;  // its other extents may be beyond all counting
  const Plane plane = plane_of(from, to);
  for (std::int64_t i = 0; i < from.extent(0); ++i) {
    for (std::int64_t j = 0; j < from.extent(1); ++j) {
      copy_plane<From, To>(
          plane, from.as<const std::byte>() + (i * from.stride(0) + j * from.stride(1)) * kBytes<From>,
          to.as<std::byte>() + (i * to.stride(0) + j * to.stride(1)) * kBytes<To>);
    }
  }
}

using Copy = void (*)(const TensorView& from, const TensorView& to);

Copy copy_of_bytes(std::size_t bytes) {
  if (bytes == 1) return copy_planes<std::uint8_t, std::uint8_t>;
  if (bytes == 2) return copy_planes<std::uint16_t, std::uint16_t>;
  return bytes == 4 ? copy_planes<std::uint32_t, std::uint32_t> : copy_planes<std::uint64_t, std::uint64_t>;
}

template <class From>
Copy copy_from(DType to) {
  if (to == DType::f32) return copy_planes<From, float>;
  if (to == DType::bf16) return copy_planes<From, Bf16>;
  return to == DType::f16 ? copy_planes<From, Half> : nullptr;
}

/// Null where there is no such conversion.
Copy find_copy(DType from, DType to) {
  if (from == to) return copy_of_bytes(size_of(from));
  if (from == DType::f32) return copy_from<float>(to);
  if (from == DType::f64) return copy_from<double>(to);
  if (from == DType::bf16) return copy_from<Bf16>(to);
  return from == DType::f16 ? copy_from<Half>(to) : nullptr;
}

/// The bits of a value below the smallest normal number of f16, or of 0.
std::uint32_t subnormal_half(std::uint32_t magnitude) {
  const float value = std::bit_cast<float>(magnitude);
  return static_cast<std::uint32_t>(std::nearbyintf(value * 0x1p24f));  // exact before rounding
}

}  // namespace

Half to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
  std::uint32_t half = 0;
  if (magnitude >= 0x7F800000u) {
    const std::uint32_t mantissa = (magnitude >> 13) & 0x3FFu;
    const bool loses_nan = magnitude > 0x7F800000u && mantissa == 0;
    half = 0x7C00u | mantissa | (loses_nan ? 0x200u : 0u);
  } else if (magnitude < 0x38800000u) {  // 2^-14
    half = subnormal_half(magnitude);
  } else {
    half = (magnitude - 0x38000000u + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
    CARAVAN_CHECK(half < 0x7C00u, IoError,
                  fmt::format("the value {} does not fit fp16 (at most 65504). bf16?", value));
  }
  return {static_cast<std::uint16_t>(sign | half)};
}

float to_float(Half value) noexcept {
  const std::uint32_t sign = (value.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1Fu;
  const std::uint32_t mantissa = value.bits & 0x3FFu;
  if (exponent == 0x1F) return std::bit_cast<float>(sign | 0x7F800000u | (mantissa << 13));
  if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float tiny = static_cast<float>(mantissa) * 0x1p-24f;  // exact
  return sign ? -tiny : tiny;
}

DType wider(DType a, DType b) noexcept {
  if (a == b) return a;
  return a == DType::f64 || b == DType::f64 ? DType::f64 : DType::f32;
}

void copy_elements(const TensorView& from, const TensorView& to) {
  CARAVAN_CHECK(from.shape == to.shape, IoError,
                fmt::format("cannot copy {} {} to {} {} (the same shape was expected)", name_of(from.dtype),
                            to_string(from.shape), name_of(to.dtype), to_string(to.shape)));
  const Copy copy = find_copy(from.dtype, to.dtype);
  CARAVAN_CHECK(copy, IoError,
                fmt::format("a tensor of {} cannot be read as {}", name_of(from.dtype), name_of(to.dtype)));
  copy(with_four_axes(from), with_four_axes(to));
}

void copy_to_f32(const TensorView& from, const TensorView& to) {
  CARAVAN_CHECK(
      to.dtype == DType::f32 && from.shape == to.shape, IoError,
      fmt::format("cannot copy {} {} to {} {} (the same shape in f32 was expected)", name_of(from.dtype),
                  to_string(from.shape), name_of(to.dtype), to_string(to.shape)));
  copy_elements(from, to);
}

}  // namespace caravan::io
