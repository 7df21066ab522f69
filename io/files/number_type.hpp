#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// Numbers of a file that others wrote, in this machine's byte order. Wider than DType, which is what devices
/// compute with.
enum class NumberType : std::uint8_t { f32, f64, bf16, f16, i8, i16, i32, i64, u8, u16, u32, u64 };
inline constexpr int kNumNumberTypes = 12;

std::size_t size_of(NumberType element) noexcept;
std::string_view name_of(NumberType element) noexcept;
bool is_float(NumberType element) noexcept;

NumberType number_type_of(DType type) noexcept;
/// Nothing for i8, i16, u16, u32 and u64, which no tensor of ours has.
std::optional<DType> dtype_of_number(NumberType element) noexcept;

}  // namespace caravan::io
