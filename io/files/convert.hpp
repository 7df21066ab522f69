#pragma once

#include <bit>
#include <cstdint>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// One float of a file; T is float, double, Bf16 or Half. Bits are read as in memory order of a little-endian
/// machine.
struct Bf16 {
  std::uint16_t bits;
};
struct Half {
  std::uint16_t bits;
};
inline float to_float(Bf16 value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
float to_float(Half value) noexcept;
inline float to_float(float value) noexcept {
  return value;
}
inline float to_float(double value) noexcept {
  return static_cast<float>(value);
}

/// Rounds to nearest, ties to even; NaN stays NaN. IoError for a finite value that f16 cannot hold.
Half to_half(float value);

/// The type of what is made of values of two types of floats: no finite one is rounded.
DType wider(DType a, DType b) noexcept;

/// Copies `from` to `to`, both in host memory, of any strides (e.g. a transposed view) and of one shape.
/// Elements of the same type are copied bit by bit; otherwise f32, f64, bf16 or f16 become f32, bf16 or f16,
/// each value rounded once.
/// Walks in tiles, so that a transposed read of a large matrix stays in cache. IoError for other types, and
/// for a finite value that would become infinite.
void copy_elements(const TensorView& from, const TensorView& to);

/// The same to f32 alone.
void copy_to_f32(const TensorView& from, const TensorView& to);

}  // namespace caravan::io
