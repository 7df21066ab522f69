#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/tensor.hpp"
#include "io/safetensors/element.hpp"

namespace caravan::io {

/// What a safetensors header says of one tensor. Any rank; only `shape` needs at most four axes.
struct SafetensorsInfo {
  std::string name;
  const Element* element = nullptr;
  std::vector<std::int64_t> extents;  ///< outermost first
  std::uint64_t begin = 0, end = 0;   ///< bytes, from the start of the data
  std::string file{};                 ///< its path, for messages

  std::uint64_t bytes() const noexcept { return end - begin; }
  std::uint64_t count() const noexcept { return bytes() / element->bytes; }
  DType dtype() const;  ///< IoError for a type that caravan does not compute with
  Shape shape() const;  ///< IoError above four axes
};

struct SafetensorsHeader {
  std::vector<SafetensorsInfo> tensors;  ///< ordered by offset
  std::map<std::string, std::string> metadata;
};

inline constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the reference implementation's limit

/// The rule for names: 1 to 1024 printable ASCII characters without space. IoError naming `path`.
void check_tensor_name(const std::string& name, const std::string& path);

/// Parses the JSON between the length and the data. IoError naming `path`, and the tensor where there is one,
/// when keys repeat, a type is unknown, a count overflows, or offsets do not cover [0, data_bytes) exactly
/// once.
SafetensorsHeader parse_safetensors_header(std::string_view json, std::uint64_t data_bytes,
                                           const std::string& path);

}  // namespace caravan::io
