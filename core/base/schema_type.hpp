#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/abi.h"
#include "caravan/config.hpp"

namespace caravan {

/// The `type` of a caravan_param, taken apart.
struct ParamType {
  enum class Value { integer, number, truth, text, map, word };
  Value value = Value::text;
  bool is_list = false;
  std::vector<std::string> words;  // of Value::word; of Value::integer, what may stand in place of a number
  bool or_map = false;             // in place of a word or text; whoever reads it knows its keys
  bool is_path = false;            // a text that names a file or folder

  bool is_numeric() const { return value == Value::integer || value == Value::number; }
  /// Nothing when the text is no type.
  static std::optional<ParamType> parse(std::string_view text);
};

/// The `range` of a caravan_param: an interval whose ends are in or out.
struct ParamRange {
  double low, high;
  bool low_open, high_open;

  bool holds(double value) const;
  /// "" is everything. Nothing when the text is no range.
  static std::optional<ParamRange> parse(std::string_view text);
};

/// The default as a node; null when it is "null" or missing.
Config default_value(const caravan_param& param, const ParamType& type);

/// ConfigError with place and path when `value` is not of `type` or lies outside `range` (whose text is
/// `range_text`).
void check_value(const Config& value, const ParamType& type, const ParamRange& range,
                 std::string_view range_text);

}  // namespace caravan
