#include "io/text/long_text.hpp"

#include "caravan/utf8.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostCharacters = 400'000;
constexpr std::size_t kLongestRun = 25'000;

/// Python's str.isspace, which also takes U+001C…U+001F.
bool is_python_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

struct Run {
  std::size_t length = 0;
  bool is_space = false;
};

}  // namespace

std::vector<std::string_view> cut_as_llama4(std::string_view text) {
  if (text.size() <= kLongestRun) return {text};
  std::vector<std::string_view> parts;
  std::size_t part_begin = 0, characters = 0;
  Run run;
  for (std::size_t i = 0; i < text.size();) {
    const Utf8Sequence next = scan_utf8(text.substr(i));
    const bool is_space =
        next.state == Utf8State::valid && is_python_space(decode_utf8(text.substr(i, next.length)));
    const bool block_is_full = characters == kMostCharacters;
    run = is_space == run.is_space && !block_is_full ? Run{run.length + 1, is_space} : Run{1, is_space};
    if (block_is_full || run.length > kLongestRun) {
      parts.push_back(text.substr(part_begin, i - part_begin));
      part_begin = i;
      run.length = 1;
    }
    characters = block_is_full ? 1 : characters + 1;
    i += next.length;
  }
  parts.push_back(text.substr(part_begin));
  return parts;
}

}  // namespace caravan::io
