#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace caravan {

enum class Utf8State { valid, invalid, incomplete };

/// The first sequence of a text: how many bytes and whether they are a character. An invalid one is Unicode's
/// maximal subpart, which is what Python's errors="replace" turns into one U+FFFD; an incomplete one ends
/// with the text.
struct Utf8Sequence {
  std::size_t length = 0;
  Utf8State state = Utf8State::valid;
};

/// `text` must not be empty. Source: Unicode 14, table 3-7 and section 3.9.
constexpr Utf8Sequence scan_utf8(std::string_view text) noexcept {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {1, Utf8State::valid};
  if (lead < 0xC2 || lead > 0xF4) return {1, Utf8State::invalid};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i, low = 0x80, high = 0xBF) {
    if (i >= text.size()) return {i, Utf8State::incomplete};
    if (byte(i) < low || byte(i) > high) return {i, Utf8State::invalid};
  }
  return {length, Utf8State::valid};
}

/// The character of a valid sequence.
constexpr char32_t decode_utf8(std::string_view sequence) noexcept {
  const auto lead = static_cast<unsigned char>(sequence[0]);
  if (sequence.size() == 1) return lead;
  char32_t code = lead & (0x7Fu >> sequence.size());
  for (char c : sequence.substr(1)) code = (code << 6) | (static_cast<unsigned char>(c) & 0x3Fu);
  return code;
}

/// Bytes at the front of `text` that are whole, valid characters.
constexpr std::size_t valid_utf8_prefix(std::string_view text) noexcept {
  std::size_t length = 0;
  while (length < text.size()) {
    const Utf8Sequence next = scan_utf8(text.substr(length));
    if (next.state != Utf8State::valid) break;
    length += next.length;
  }
  return length;
}

/// Every invalid or incomplete sequence becomes one U+FFFD, as Python's errors="replace" does.
inline std::string replace_invalid_utf8(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t good = valid_utf8_prefix(text);
    out.append(text.substr(0, good));
    text.remove_prefix(good);
    if (text.empty()) break;
    out.append("\xEF\xBF\xBD");
    text.remove_prefix(scan_utf8(text).length);
  }
  return out;
}

}  // namespace caravan
