#pragma once

#include <bit>
#include <cstdint>

namespace caravan {

/// bf16 is the upper half of an f32.
constexpr float from_bf16(std::uint16_t bits) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Rounds to nearest, ties to even; NaN stays NaN.
constexpr std::uint16_t to_bf16(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (bits & 0x7FFFFFFFu) > 0x7F800000u;
  return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40u
                                           : (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace caravan
