#include "io/hf/json_fields.hpp"

#include "caravan/check.hpp"

#include <fmt/format.h>

#include <cmath>

#include "io/files/strict_json.hpp"

namespace caravan::io {
namespace {

using nlohmann::json;

constexpr std::size_t kMostShownBytes = 60;

std::string shown(const json& value) {
  if (value.is_structured()) return value.is_array() ? "a list" : "an object";
  const std::string text = value.dump(-1, ' ', true);
  return text.size() <= kMostShownBytes ? text : text.substr(0, kMostShownBytes) + "…";
}

}  // namespace

JsonFields::JsonFields(const json& object, std::string path) : object_(object), path_(std::move(path)) {
  CARAVAN_CHECK(object_.is_object(), IoError, fmt::format("{} is not a JSON object", path_));
}

bool JsonFields::has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

bool JsonFields::says_null(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

const json& JsonFields::at(const char* key) const {
  CARAVAN_CHECK(has(key), IoError, fmt::format("{} lacks '{}'", path_, key));
  return object_.at(key);
}

void JsonFields::refuse(const char* key, std::string_view why) const {
  const char* nothing = says_null(key) ? "null" : "absent";
  throw IoError(fmt::format("{}: {} is {} ({})", path_, key, has(key) ? shown(at(key)) : nothing, why));
}

std::int64_t JsonFields::integer(const char* key, std::int64_t otherwise) const {
  if (!has(key)) return otherwise;
  const json& value = at(key);
  if (is_int64(value)) return value.get<std::int64_t>();
  const double real = value.is_number_float() ? value.get<double>() : NAN;
  if (!(std::fabs(real) < 1e15) || real != std::floor(real)) refuse(key, "a whole number is needed");
  return static_cast<std::int64_t>(real);
}

double JsonFields::number(const char* key) const {
  if (!at(key).is_number()) refuse(key, "a number is needed");
  return at(key).get<double>();
}

double JsonFields::number(const char* key, double otherwise) const {
  return has(key) ? number(key) : otherwise;
}

double JsonFields::positive(const char* key, double otherwise) const {
  const double value = number(key, otherwise);
  if (!(value > 0)) refuse(key, "a number above 0 is needed");
  return value;
}

std::string JsonFields::text(const char* key, const std::string& otherwise) const {
  if (!has(key)) return otherwise;
  if (!at(key).is_string()) refuse(key, "text is needed");
  return at(key).get<std::string>();
}

bool JsonFields::flag(const char* key, bool otherwise) const {
  if (!has(key)) return otherwise;
  if (at(key).is_boolean()) return at(key).get<bool>();
  if (!at(key).is_number()) refuse(key, "true, false or a number is needed");
  return at(key).get<double>() != 0;
}

std::vector<std::int64_t> JsonFields::integers(const char* key) const {
  if (!at(key).is_array()) refuse(key, "a list is needed");
  std::vector<std::int64_t> values;
  for (const json& value : at(key)) {
    if (!is_int64(value) && !value.is_boolean()) refuse(key, "a list of whole numbers is needed");
    values.push_back(value.is_boolean() ? value.get<bool>() : value.get<std::int64_t>());
  }
  return values;
}

std::vector<std::int64_t> JsonFields::ids(const char* key) const {
  if (!has(key)) return {};
  if (at(key).is_array()) return integers(key);
  return {integer(key, 0)};
}

JsonFields JsonFields::inner(const char* key) const {
  return JsonFields(at(key), fmt::format("{}: {}", path_, key));
}

}  // namespace caravan::io
