#include "core/base/yaml_scan.hpp"

#include <algorithm>

namespace caravan {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}

/// Nothing or white space stands at `at`.
bool ends_word(std::string_view text, std::size_t at) {
  return at >= text.size() || is_space(text[at]);
}

bool is_comment(std::string_view text, std::size_t at) {
  return text[at] == '#' && (at == 0 || is_space(text[at - 1]));
}

char opening_of(char closing) {
  return closing == ']' ? '[' : '{';
}

std::string_view without_space_behind(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

YamlScan::YamlScan(std::string_view yaml) {
  int number = 1;
  for (std::size_t begin = 0; begin < yaml.size(); ++number) {
    const std::size_t end = std::min(yaml.find('\n', begin), yaml.size());
    read_line(yaml.substr(begin, end - begin), number);
    begin = end + 1;
  }
}

void YamlScan::read_line(std::string_view raw, int number) {
  Line line;
  while (static_cast<std::size_t>(line.indent) < raw.size() &&
         is_space(raw[static_cast<std::size_t>(line.indent)]))
    line.has_tab |= raw[static_cast<std::size_t>(line.indent++)] == '\t';
  const bool is_blank = static_cast<std::size_t>(line.indent) == raw.size();
  if (!is_blank && line.indent <= block_scalar_) block_scalar_ = -1;
  line.is_block = block_scalar_ < 0 && brackets.empty() && !quote;
  if (line.is_block) {
    at_value_ = true;
    behind_value_ = false;
  }
  std::size_t at = block_scalar_ < 0 ? 0 : raw.size();
  while (at < raw.size() && (quote || !is_comment(raw, at))) at = read_character(raw, at, number);
  line.text = without_space_behind(raw.substr(0, std::min(at, raw.size())));
  line.indent = std::min(line.indent, static_cast<int>(line.text.size()));
  if (begins_block_scalar(line.text)) block_scalar_ = line.indent;
  lines.push_back(line);
}

/// The place behind what it read.
std::size_t YamlScan::read_character(std::string_view raw, std::size_t at, int number) {
  if (quote) return read_quoted(raw, at);
  const char c = raw[at];
  if (is_space(c)) return at + 1;
  const bool in_flow = !brackets.empty();
  if (at_value_ && (c == '"' || c == '\'')) {
    quote = Mark{c, number};
  } else if ((c == '[' || c == '{') && (at_value_ || in_flow)) {
    open(c, number);
  } else if ((c == ']' || c == '}') && (at_value_ || behind_value_ || in_flow)) {
    close(c, number);
  } else {
    behind_value_ = false;
    const bool is_dash = at_value_ && (c == '-' || c == '?') && ends_word(raw, at + 1);
    const bool is_colon = c == ':' && (ends_word(raw, at + 1) || in_flow);
    at_value_ = is_dash || is_colon || (in_flow && c == ',');
  }
  return at + 1;
}

std::size_t YamlScan::read_quoted(std::string_view raw, std::size_t at) {
  const bool is_double = quote->character == '"';
  if (is_double && raw[at] == '\\') return at + 2;
  if (raw[at] != quote->character) return at + 1;
  const bool is_doubled = !is_double && at + 1 < raw.size() && raw[at + 1] == '\'';
  if (is_doubled) return at + 2;
  quote.reset();
  at_value_ = false;
  behind_value_ = true;
  return at + 1;
}

void YamlScan::open(char character, int number) {
  brackets.push_back({character, number});
  at_value_ = true;
}

void YamlScan::close(char character, int number) {
  at_value_ = false;
  behind_value_ = true;
  const bool fits = !brackets.empty() && brackets.back().character == opening_of(character);
  if (!fits && !stray)
    stray = Stray{{character, number}, brackets.empty() ? std::nullopt : std::optional(brackets.back())};
  if (!brackets.empty()) brackets.pop_back();
}

/// "key: |", "- >-", "key: |2+"
bool YamlScan::begins_block_scalar(std::string_view text) const {
  if (block_scalar_ >= 0 || !brackets.empty() || quote) return false;
  while (!text.empty() &&
         (text.back() == '-' || text.back() == '+' || (text.back() >= '0' && text.back() <= '9')))
    text.remove_suffix(1);
  if (text.size() < 2 || (text.back() != '|' && text.back() != '>')) return false;
  text = text.substr(0, text.size() - 1);
  if (!is_space(text.back())) return false;
  text = without_space_behind(text);
  return text.ends_with(':') || text.ends_with('-') || text.ends_with('?');
}

}  // namespace caravan
