#include "io/text/characters.hpp"

#include <algorithm>

#include "caravan/utf8.hpp"
#include "io/text/regex.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kLongestCharacter = 4;

/// Empty when `text` is, or does not begin with a character.
std::string_view first_character(std::string_view text) noexcept {
  if (text.empty()) return {};
  const Utf8Sequence next = scan_utf8(text);
  return next.state == Utf8State::valid ? text.substr(0, next.length) : std::string_view{};
}

std::string_view last_character(std::string_view text) noexcept {
  for (std::size_t length = 1; length <= std::min(text.size(), kLongestCharacter); ++length) {
    const std::string_view tail = text.substr(text.size() - length);
    if (first_character(tail).size() == length) return tail;
  }
  return {};
}

bool is_of_word(std::string_view character) {
  static const Regex kWord(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}])");
  RegexScratch scratch;
  return !character.empty() && kWord.find(character, 0, scratch).has_value();
}

}  // namespace

bool is_white_space(char32_t code) noexcept {
  const bool ascii = (code >= 0x09 && code <= 0x0D) || code == ' ';
  const bool general = (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
                       code == 0x202F || code == 0x205F;
  return ascii || general || code == 0x85 || code == 0xA0 || code == 0x1680 || code == 0x3000;
}

std::string_view without_space_at_end(std::string_view text) noexcept {
  for (;;) {
    const std::string_view last = last_character(text);
    if (last.empty() || !is_white_space(decode_utf8(last))) return text;
    text.remove_suffix(last.size());
  }
}

std::size_t space_at_start(std::string_view text) noexcept {
  std::size_t length = 0;
  for (;;) {
    const std::string_view next = first_character(text.substr(length));
    if (next.empty() || !is_white_space(decode_utf8(next))) return length;
    length += next.size();
  }
}

bool ends_with_word(std::string_view text) {
  return is_of_word(last_character(text));
}

bool begins_with_word(std::string_view text) {
  return is_of_word(first_character(text));
}

}  // namespace caravan::io
