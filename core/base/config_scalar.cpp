#include "core/base/config_scalar.hpp"

#include <charconv>

#include "caravan/printable.hpp"
#include "caravan/utf8.hpp"

namespace caravan {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// "0" or digits that do not begin with 0.
bool plain_digits(std::string_view text) {
  if (text.empty() || (text.size() > 1 && text[0] == '0')) return false;
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::string_view without_sign(std::string_view text) {
  if (!text.empty() && text[0] == '-') text.remove_prefix(1);
  return text;
}

template <class T>
std::optional<T> from_chars(std::string_view text) {
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Number of bytes of the sequence that starts with `lead`, 0 when none does.
std::size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

/// Refuses overlong forms, surrogates and code points above U+10FFFF (Unicode 15, table 3-7).
bool second_byte_fits(unsigned char lead, unsigned char second) {
  switch (lead) {
    case 0xE0:
      return second >= 0xA0 && second <= 0xBF;
    case 0xED:
      return second >= 0x80 && second <= 0x9F;
    case 0xF0:
      return second >= 0x90 && second <= 0xBF;
    case 0xF4:
      return second >= 0x80 && second <= 0x8F;
    default:
      return second >= 0x80 && second <= 0xBF;
  }
}

}  // namespace

std::optional<std::int64_t> parse_int(std::string_view text) {
  if (!plain_digits(without_sign(text))) return std::nullopt;
  return from_chars<std::int64_t>(text);
}

std::optional<double> parse_float(std::string_view text) {
  const std::string_view unsigned_text = without_sign(text);
  const std::string_view whole = unsigned_text.substr(0, unsigned_text.find_first_of(".eE"));
  if (unsigned_text.find_first_not_of("0123456789.eE+-") != std::string_view::npos) return std::nullopt;
  const bool begins_with_point = whole.empty() && unsigned_text.size() > 1 && is_digit(unsigned_text[1]);
  if (!plain_digits(whole) && !begins_with_point) return std::nullopt;
  return from_chars<double>(text);
}

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

bool is_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = sequence_length(lead);
    if (length == 0 || at + length > text.size()) return false;
    if (length > 1 && !second_byte_fits(lead, static_cast<unsigned char>(text[at + 1]))) return false;
    for (std::size_t i = 2; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string_view front = text.substr(0, kMost);
  const std::size_t whole = valid_utf8_prefix(front);  // a character that the limit cuts is left out
  const bool is_cut = front.size() < text.size();
  if (is_cut && whole < front.size() && scan_utf8(front.substr(whole)).state == Utf8State::incomplete)
    front = front.substr(0, whole);
  return "'" + printable(front) + (is_cut ? "…'" : "'");
}

}  // namespace caravan
