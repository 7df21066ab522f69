#include "io/files/number_type.hpp"

#include <array>

namespace caravan::io {
namespace {

struct Facts {
  std::size_t size;
  std::string_view name;
  std::optional<DType> dtype;
};

/// Indexed by NumberType.
constexpr std::array<Facts, kNumNumberTypes> kFacts = {{{4, "f32", DType::f32},
                                                        {8, "f64", DType::f64},
                                                        {2, "bf16", DType::bf16},
                                                        {2, "f16", DType::f16},
                                                        {1, "i8", std::nullopt},
                                                        {2, "i16", std::nullopt},
                                                        {4, "i32", DType::i32},
                                                        {8, "i64", DType::i64},
                                                        {1, "u8", DType::u8},
                                                        {2, "u16", std::nullopt},
                                                        {4, "u32", std::nullopt},
                                                        {8, "u64", std::nullopt}}};

const Facts& facts_of(NumberType element) noexcept {
  return kFacts[static_cast<std::size_t>(element)];
}

}  // namespace

std::size_t size_of(NumberType element) noexcept {
  return facts_of(element).size;
}

std::string_view name_of(NumberType element) noexcept {
  return facts_of(element).name;
}

bool is_float(NumberType element) noexcept {
  return element <= NumberType::f16;
}

std::optional<DType> dtype_of_number(NumberType element) noexcept {
  return facts_of(element).dtype;
}

NumberType number_type_of(DType type) noexcept {
  switch (type) {
    case DType::f32:
      return NumberType::f32;
    case DType::f64:
      return NumberType::f64;
    case DType::bf16:
      return NumberType::bf16;
    case DType::f16:
      return NumberType::f16;
    case DType::i32:
      return NumberType::i32;
    case DType::i64:
      return NumberType::i64;
    case DType::u8:
      break;
  }
  return NumberType::u8;
}

}  // namespace caravan::io
