#include "caravan/printable.hpp"

#include <fmt/format.h>

#include "caravan/utf8.hpp"

namespace caravan {
namespace {

bool is_between(char32_t code, char32_t first, char32_t last) {
  return code >= first && code <= last;
}

/// What a terminal obeys instead of showing it, or what makes it show a text in another order.
bool steers(char32_t code) {
  return code < 0x20 || is_between(code, 0x7F, 0x9F) || is_between(code, 0x2028, 0x202E) ||
         is_between(code, 0x2066, 0x2069) || is_between(code, 0x200E, 0x200F) || code == 0x061C;
}

/// Bytes of the colour at the front of `text`: ESC [ digits and semicolons m; 0 when there is none.
std::size_t length_of_style(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const std::size_t end = text.find_first_not_of("0123456789;", 2);
  return end != std::string_view::npos && text[end] == 'm' ? end + 1 : 0;
}

/// Bytes at the front of `text` that stay although they steer.
std::size_t length_kept(std::string_view text, TextKind kind) {
  if (kind == TextKind::name) return 0;
  if (text[0] == '\n' || text[0] == '\t') return 1;
  return kind == TextKind::styled_lines ? length_of_style(text) : 0;
}

std::string escaped(std::string_view sequence, Utf8State state) {
  if (state == Utf8State::valid) {
    const char32_t code = decode_utf8(sequence);
    return steers(code) ? fmt::format("\\u{:04x}", static_cast<unsigned>(code)) : std::string(sequence);
  }
  std::string bytes;
  for (const char c : sequence) bytes += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

std::string printable(std::string_view text, TextKind kind) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t kept = length_kept(text, kind);
    const Utf8Sequence next = scan_utf8(text);
    const std::size_t length = kept > 0 ? kept : next.length;
    out += kept > 0 ? std::string(text.substr(0, kept)) : escaped(text.substr(0, length), next.state);
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace caravan
