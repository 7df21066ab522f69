#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// An element type of the safetensors format; those that caravan does not compute with have no `dtype`.
struct Element {
  std::string_view name;  ///< "BF16"
  std::uint32_t bytes;
  std::optional<DType> dtype;
};

/// The type with this name, or nullptr. Types below one byte (F4, F6) are not known.
const Element* find_element(std::string_view name) noexcept;
const Element& element_of(DType type) noexcept;

}  // namespace caravan::io
