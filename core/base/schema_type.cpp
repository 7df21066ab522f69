#include "core/base/schema_type.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find('|', begin), text.size());
    words.emplace_back(trimmed(text.substr(begin, end - begin)));
    if (words.back().empty()) return std::nullopt;
    begin = end + 1;
  }
  return words;
}

std::optional<ParamRange> parse_bound(std::string_view text) {
  const bool open = text.size() < 2 || text[1] != '=';
  const auto bound = parse_float(trimmed(text.substr(open ? 1 : 2)));
  if (!bound) return std::nullopt;
  if (text[0] == '>') return ParamRange{*bound, kInfinity, open, false};
  return ParamRange{-kInfinity, *bound, false, open};
}

std::optional<ParamRange> parse_interval(std::string_view text) {
  const std::size_t comma = text.find(',');
  if (comma == std::string_view::npos || (text.back() != ']' && text.back() != ')')) return std::nullopt;
  const auto low = parse_float(trimmed(text.substr(1, comma - 1)));
  const auto high = parse_float(trimmed(text.substr(comma + 1, text.size() - comma - 2)));
  if (!low || !high || *low > *high) return std::nullopt;
  return ParamRange{*low, *high, text.front() == '(', text.back() == ')'};
}

/// Whoever reads a parameter may keep it as a float, where 1e300 would be infinite and 1e-300 zero.
double read_float(const Config& value) {
  using Limits = std::numeric_limits<float>;
  const double number = value.as_float(), size = std::abs(number);
  CARAVAN_CHECK(size == 0 || (size >= double{Limits::min()} && size <= double{Limits::max()}), ConfigError,
                fmt::format("{}: {}={} (must be 0 or between 1.2e-38 and 3.4e38, as fp32 has it)",
                            value.where(), value.path(), value.text()));
  return number;
}

void check_number(const Config& value, const ParamType& type, const ParamRange& range,
                  std::string_view range_text) {
  const double number =
      type.value == ParamType::Value::integer ? static_cast<double>(value.as_int()) : read_float(value);
  CARAVAN_CHECK(range.holds(number), ConfigError,
                fmt::format("{}: {}={} (must be {})", value.where(), value.path(), value.text(),
                            range_text[0] == '[' || range_text[0] == '(' ? fmt::format("in {}", range_text)
                                                                         : std::string(range_text)));
}

/// `others`: what may stand there in place of a word.
void check_word(const Config& value, const std::vector<std::string>& words, std::string_view others) {
  const std::string& given = value.as_string();
  if (std::find(words.begin(), words.end(), given) != words.end()) return;
  const std::string near = nearest_name(given, words);
  throw ConfigError(fmt::format("{}: {}={} (must be one of: {}{}){}", value.where(), value.path(),
                                shown(given), fmt::join(words, ", "), others,
                                near.empty() ? "" : fmt::format(". Did you mean '{}'?", near)));
}

bool is_integer(const Config& value) {
  return value.kind() == Config::Kind::scalar && parse_int(value.text());
}

void check_single(const Config& value, const ParamType& type, const ParamRange& range,
                  std::string_view range_text) {
  if (type.or_map && value.kind() == Config::Kind::map) return;
  if (type.value == ParamType::Value::integer && !type.words.empty() && !is_integer(value))
    return check_word(value, type.words, "; or an integer");
  switch (type.value) {
    case ParamType::Value::integer:
    case ParamType::Value::number:
      return check_number(value, type, range, range_text);
    case ParamType::Value::truth:
      return static_cast<void>(value.as_bool());
    case ParamType::Value::text:
      return static_cast<void>(value.as_string());
    case ParamType::Value::word:
      return check_word(value, type.words, type.or_map ? "; or a map of keys" : "");
    case ParamType::Value::map:
      break;
  }
  CARAVAN_CHECK(value.kind() == Config::Kind::map, ConfigError,
                fmt::format("{}: {} is not a map (must be keys with values)", value.where(), value.path()));
}

/// Fails with the list's own message when `value` is no list.
void expect_list(const Config& value, const ParamType& type) {
  if (value.kind() == Config::Kind::list) return;
  if (type.value == ParamType::Value::integer) value.as_int_list();
  if (type.value == ParamType::Value::number) value.as_float_list();
  CARAVAN_CHECK(type.value != ParamType::Value::map, ConfigError,
                fmt::format("{}: {} is not a list (must be a list of maps such as [{{key: value}}])",
                            value.where(), value.path()));
  value.as_string_list();
}

}  // namespace

std::optional<ParamType> ParamType::parse(std::string_view text) {
  const bool is_list = text.ends_with(" list");
  if (is_list) text.remove_suffix(5);
  const bool or_map = text.ends_with(" or map");
  if (or_map) text.remove_suffix(7);
  if (!or_map && text == "int") return ParamType{Value::integer, is_list, {}};
  if (!or_map && !is_list && text.starts_with("int or ")) {
    auto words = split_words(text.substr(7));
    if (!words) return std::nullopt;
    return ParamType{Value::integer, false, std::move(*words)};
  }
  if (!or_map && text == "float") return ParamType{Value::number, is_list, {}};
  if (text == "string") return ParamType{Value::text, is_list, {}, or_map};
  if (!or_map && text == "path") return ParamType{Value::text, is_list, {}, false, true};
  if (!or_map && text == "map") return ParamType{Value::map, is_list, {}};
  if (is_list) return std::nullopt;
  if (!or_map && text == "bool") return ParamType{Value::truth, false, {}};
  if (text.find('|') == std::string_view::npos) return std::nullopt;
  auto words = split_words(text);
  if (!words) return std::nullopt;
  return ParamType{Value::word, false, std::move(*words), or_map};
}

bool ParamRange::holds(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::optional<ParamRange> ParamRange::parse(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return ParamRange{-kInfinity, kInfinity, false, false};
  if (text[0] == '>' || text[0] == '<') return parse_bound(text);
  if (text[0] == '[' || text[0] == '(') return parse_interval(text);
  return std::nullopt;
}

/// Single values are taken as they stand, so that "" stays a string (and YAML costs nothing).
Config default_value(const caravan_param& param, const ParamType& type) {
  if (!param.default_value || std::string_view(param.default_value) == "null") return Config();
  const bool single = !type.is_list && type.value != ParamType::Value::map;
  return single ? Config::scalar(param.default_value) : Config::parse(param.default_value, "default");
}

void check_value(const Config& value, const ParamType& type, const ParamRange& range,
                 std::string_view range_text) {
  if (!type.is_list) return check_single(value, type, range, range_text);
  expect_list(value, type);
  for (const Config& item : value.items()) check_single(item, type, range, range_text);
}

}  // namespace caravan
