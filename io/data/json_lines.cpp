#include "io/data/json_lines.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "caravan/check.hpp"
#include "io/data/text_lines.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostLevels = 64;
constexpr std::size_t kEscapeBytes = 6;  // \ud83d

/// The code unit of an escape \uXXXX at `at`; 0 when there is none.
unsigned unit_at(std::string_view line, std::size_t at) {
  const std::string_view escape = line.substr(std::min(at, line.size()), kEscapeBytes);
  unsigned unit = 0;
  if (escape.size() < kEscapeBytes || !escape.starts_with("\\u")) return 0;
  const auto [end, problem] = std::from_chars(escape.begin() + 2, escape.end(), unit, 16);
  return problem == std::errc() && end == escape.end() ? unit : 0;
}

bool is_high(unsigned unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(unsigned unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

}  // namespace

struct JsonLines::Parser {
  simdjson::dom::parser json;
};

std::int64_t replace_lone_surrogates(std::string_view line, std::string& repaired) {
  std::int64_t replaced = 0;
  std::size_t copied = 0;
  repaired.clear();
  for (std::size_t at = line.find('\\'); at < line.size(); at = line.find('\\', at)) {
    const unsigned unit = unit_at(line, at);
    const bool is_pair = is_high(unit) && is_low(unit_at(line, at + kEscapeBytes));
    if (!is_pair && (is_high(unit) || is_low(unit))) {
      repaired.append(line.substr(copied, at - copied)).append("\\ufffd");
      copied = at + kEscapeBytes;
      ++replaced;
    }
    at += is_pair ? 2 * kEscapeBytes : unit != 0 ? kEscapeBytes : 2;
  }
  if (replaced > 0) repaired.append(line.substr(copied));
  return replaced;
}

JsonLines::JsonLines(TextReader& reader, const std::string& field, Content nul, TextRepairs& repairs)
    : reader_(reader), field_(field), nul_(nul), repairs_(repairs), parser_(std::make_unique<Parser>()) {
  CARAVAN_CHECK(!parser_->json.allocate(1 << 16, kMostLevels), IoError, "no memory to read JSON");
}

JsonLines::~JsonLines() = default;

void JsonLines::read(const std::function<void(std::string_view)>& take) {
  TextLines lines(reader_);
  while (const auto line = lines.next()) {
    if (is_blank(*line)) continue;
    const std::string_view text = string_of(*line, lines.number());
    if (!text.empty()) take(text);
  }
}

std::string_view JsonLines::string_of(std::string_view line, std::int64_t number) {
  if (const auto replaced = replace_lone_surrogates(line, repaired_); replaced > 0) {
    if (repairs_.surrogates == 0) repairs_.first_surrogate = fmt::format("{}:{}", reader_.name(), number);
    repairs_.surrogates += replaced;
    line = repaired_;
  }
  simdjson::dom::object object;
  std::string_view text;
  simdjson::error_code error = parser_->json.parse(line.data(), line.size()).get(object);
  if (!error) error = object.at_key(field_).get(text);
  CARAVAN_CHECK(
      !error, IoError,
      fmt::format("{}:{}: {} (every line is an object whose field '{}' is a string of valid UTF-8). "
                  "Another --field or --format?",
                  reader_.name(), number, simdjson::error_message(error), field_));
  const std::size_t nul = nul_ == Content::text ? text.find('\0') : std::string_view::npos;
  CARAVAN_CHECK(
      nul == std::string_view::npos, IoError,
      fmt::format("{}:{}: byte {} of the field '{}' is NUL (text is read). Clean the line, or take any "
                  "bytes (--binary, in a job data.binary: true)?",
                  reader_.name(), number, nul, field_));
  return text;
}

}  // namespace caravan::io
