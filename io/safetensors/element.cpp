#include "io/safetensors/element.hpp"

#include <algorithm>
#include <array>

namespace caravan::io {
namespace {

constexpr std::array<Element, 17> kElements{{
    {"F32", 4, DType::f32},
    {"F64", 8, DType::f64},
    {"BF16", 2, DType::bf16},
    {"F16", 2, DType::f16},
    {"I32", 4, DType::i32},
    {"I64", 8, DType::i64},
    {"U8", 1, DType::u8},
    {"BOOL", 1, {}},
    {"I8", 1, {}},
    {"I16", 2, {}},
    {"U16", 2, {}},
    {"U32", 4, {}},
    {"U64", 8, {}},
    {"C64", 8, {}},
    {"F8_E4M3", 1, {}},
    {"F8_E5M2", 1, {}},
    {"F8_E8M0", 1, {}},
}};

}  // namespace

const Element* find_element(std::string_view name) noexcept {
  const auto* found =
      std::find_if(kElements.begin(), kElements.end(), [&](const Element& e) { return e.name == name; });
  return found == kElements.end() ? nullptr : found;
}

const Element& element_of(DType type) noexcept {
  return *std::find_if(kElements.begin(), kElements.end(), [&](const Element& e) { return e.dtype == type; });
}

}  // namespace caravan::io
