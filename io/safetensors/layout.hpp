#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "caravan/tensor.hpp"

namespace caravan::io {

/// A tensor of a safetensors file that is to be written.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t bytes() const { return TensorView(nullptr, dtype, shape).bytes(); }
};

/// The order in a file: wide elements first, so that every tensor starts aligned to its element, then names.
/// The reference implementation does the same.
bool comes_before(const SafetensorsEntry& a, const SafetensorsEntry& b);

/// Where everything of a safetensors file lies.
struct SafetensorsLayout {
  std::string front;                  ///< the header behind its length; elements follow
  std::vector<std::uint64_t> begins;  ///< of each tensor, in bytes from the start of the file
  std::uint64_t bytes = 0;            ///< of the file
};

/// Of tensors in the order that they are to have. IoError, naming `path`, for a name that is not allowed or
/// stands there twice, and for a header above what readers take.
SafetensorsLayout lay_out(std::span<const SafetensorsEntry> tensors,
                          const std::map<std::string, std::string>& metadata, const std::string& path);

}  // namespace caravan::io
