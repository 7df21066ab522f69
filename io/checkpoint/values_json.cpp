#include "io/checkpoint/values_json.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "io/checkpoint/layout.hpp"
#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

json to_json(const CheckpointValue& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return {{"int", *number}};
  if (const auto* real = std::get_if<double>(&value)) return {{"float", fmt::format("{}", *real)}};
  return {{"text", std::get<std::string>(value)}};
}

double float_from(const std::string& text, const std::string& name) {
  double real = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), real);
  CARAVAN_CHECK(problem == std::errc() && end == text.data() + text.size(), IoError,
                fmt::format("the value {} is '{}' (no number)", name, text));
  return real;
}

CheckpointValue value_from(const json& object, const std::string& name) {
  if (object.is_object() && object.size() == 1) {
    const auto entry = object.begin();
    const std::string& kind = entry.key();
    const json& value = entry.value();
    if (kind == "int" && is_int64(value)) return value.get<std::int64_t>();
    if (kind == "float" && value.is_string()) return float_from(value.get<std::string>(), name);
    if (kind == "text" && value.is_string()) return value.get<std::string>();
  }
  throw IoError(fmt::format("the value {} is neither an int, nor a float, nor a text", name));
}

}  // namespace

json values_to_json(const std::map<std::string, CheckpointValue>& values) {
  json object = json::object();
  for (const auto& [name, value] : values) object[name] = to_json(value);
  return object;
}

std::map<std::string, CheckpointValue> values_from(const json& object) {
  CARAVAN_CHECK(object.is_object(), IoError, "the values are no object");
  std::map<std::string, CheckpointValue> values;
  for (const auto& [name, value] : object.items()) {
    check_object_name(name);
    values.emplace(name, value_from(value, name));
  }
  return values;
}

}  // namespace caravan::io
