#include "caravan/schema.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"
#include "core/base/schema_type.hpp"

namespace caravan {
namespace {

std::string_view text_of(const char* text) {
  return text ? text : "";
}

bool is_optional(const caravan_param& param) {
  return param.default_value && std::string_view(param.default_value) == "null";
}

std::vector<std::string> names_of(ParamSchema schema) {
  std::vector<std::string> names;
  for (const caravan_param& param : schema) names.emplace_back(param.name);
  return names;
}

std::string in_map(const Config& map) {
  return map.path().empty() ? "" : fmt::format(" in {}", map.path());
}

void refuse_unknown_keys(const Config& given, ParamSchema schema, std::string_view owner) {
  const std::vector<std::string> known = names_of(schema);
  for (const auto& [key, value] : given.entries()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    const std::string remedy =
        !near.empty() ? fmt::format("Did you mean '{}'?", near)
                      : (known.empty() ? "It takes none." : fmt::format("Known: {}", fmt::join(known, ", ")));
    throw ConfigError(fmt::format("{}: unknown key {}{} (no parameter of {}). {}", value.where(), shown(key),
                                  in_map(given), owner, remedy));
  }
}

struct Checked {
  ParamType type;
  ParamRange range;
};

/// Type and range of a parameter; ConfigError when the schema is wrong.
Checked take_apart(const caravan_param& param, std::string_view owner) {
  auto type = ParamType::parse(text_of(param.type));
  CARAVAN_CHECK(type, ConfigError,
                fmt::format("parameter '{}' of {} has the type {} (known: int, float, bool, string, path, "
                            "int list, float list, "
                            "string list, path list, map list, map, string or map, string or map list, int "
                            "or a|b, a|b|c, a|b|c or map)",
                            param.name, owner, shown(text_of(param.type))));
  auto range = ParamRange::parse(text_of(param.range));
  CARAVAN_CHECK(
      range, ConfigError,
      fmt::format(
          "parameter '{}' of {} has the range {} (known: '> 0', '>= 1', '[0, 1]', '(0, 1)', '[0, 1)')",
          param.name, owner, shown(text_of(param.range))));
  return {std::move(*type), *range};
}

Config value_of(const Config& given, const caravan_param& param, std::string_view owner) {
  const Checked checked = take_apart(param, owner);
  if (!given.has(param.name)) {
    CARAVAN_CHECK(param.default_value, ConfigError,
                  fmt::format("{}: key '{}'{} is missing ({} needs it: {})", given.where(), param.name,
                              in_map(given), owner, text_of(param.doc)));
    return default_value(param, checked.type);
  }
  const Config& value = given.at(param.name);
  if (value.is_null() && is_optional(param)) return value;
  const bool is_map = checked.type.value == ParamType::Value::map && !checked.type.is_list;
  if (value.is_null() && is_map) return Config::map();
  check_value(value, checked.type, checked.range, text_of(param.range));
  return value;
}

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name[0] >= 'a' && name[0] <= 'z' &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

void check_param(const caravan_param& param, std::string_view owner) {
  CARAVAN_CHECK(
      is_name(text_of(param.name)), ConfigError,
      fmt::format("{} has a parameter named {} (must be a-z, 0-9 and _)", owner, shown(text_of(param.name))));
  const Checked checked = take_apart(param, owner);
  CARAVAN_CHECK(text_of(param.range).empty() || checked.type.is_numeric(), ConfigError,
                fmt::format("parameter '{}' of {} has a range, but type {}", param.name, owner, param.type));
  CARAVAN_CHECK(!text_of(param.doc).empty(), ConfigError,
                fmt::format("parameter '{}' of {} has no sentence (doc)", param.name, owner));
  if (!param.default_value || is_optional(param)) return;
  try {
    Config holder = Config::map();
    holder.set(param.name, default_value(param, checked.type));
    check_value(holder.at(param.name), checked.type, checked.range, text_of(param.range));
  } catch (const ConfigError& error) {
    throw ConfigError(fmt::format("parameter '{}' of {} has a default that it would refuse: {}", param.name,
                                  owner, error.message()));
  }
}

}  // namespace

Config validate(const Config& given, ParamSchema schema, std::string_view owner) {
  CARAVAN_CHECK(given.is_null() || given.kind() == Config::Kind::map, ConfigError,
                fmt::format("{}: {} is not a map ({} takes keys with values)", given.where(),
                            given.path().empty() ? "the top level" : given.path(), owner));
  refuse_unknown_keys(given, schema, owner);
  Config out = given.emptied();
  for (const caravan_param& param : schema) out.set(param.name, value_of(given, param, owner));
  return out;
}

void refuse_misspelled(const Config& given, ParamSchema own, ParamSchema others, std::string_view owner) {
  const std::vector<std::string> mine = names_of(own);
  std::vector<std::string> known = names_of(others);
  known.insert(known.end(), mine.begin(), mine.end());
  for (const auto& [key, value] : given.entries()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = nearest_name(key, known);
    CARAVAN_CHECK(std::find(mine.begin(), mine.end(), near) == mine.end(), ConfigError,
                  fmt::format("{}: unknown key {}{} (no parameter of {}). Did you mean '{}'?", value.where(),
                              shown(key), in_map(given), owner, near));
  }
}

void check_schema(ParamSchema schema, std::string_view owner) {
  std::set<std::string_view> seen;
  for (const caravan_param& param : schema) {
    check_param(param, owner);
    CARAVAN_CHECK(seen.insert(param.name).second, ConfigError,
                  fmt::format("{} has two parameters named '{}'", owner, param.name));
  }
}

}  // namespace caravan
