#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace caravan::io {

/// The number of `bytes` bytes (at most 8) at `at`, which lie inside of `text`.
inline std::uint64_t number_at(std::string_view text, std::size_t at, std::size_t bytes) noexcept {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    number |= static_cast<std::uint64_t>(static_cast<unsigned char>(text[at + i])) << (8 * i);
  return number;
}

/// Its bytes behind `text`, zeros from the eighth on.
inline void append_number(std::string& text, std::uint64_t number, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i)
    text += i < sizeof number ? static_cast<char>((number >> (8 * i)) & 0xFF) : '\0';
}

}  // namespace caravan::io
