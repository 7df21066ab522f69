#include "io/text/json_reader.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"

namespace caravan::io {
namespace {

constexpr std::size_t kMostLevels = 64;

}  // namespace

JsonDocument::JsonDocument(std::string_view bytes, const std::string& path) : parser_(bytes.size() + 64) {
  simdjson::error_code error = parser_.allocate(bytes.size() + 64, kMostLevels);
  simdjson::dom::element root;
  if (!error) error = parser_.parse(bytes.data(), bytes.size()).get(root);
  CARAVAN_CHECK(!error, IoError,
                fmt::format("{}: not JSON that can be read ({}; at most {} levels). Is the file damaged?",
                            path, simdjson::error_message(error), kMostLevels));
  root_.emplace(root, path);
}

void JsonNode::refuse(std::string_view needed) const {
  throw IoError(fmt::format("{}: not {} (the format needs one here). Is the file damaged?", where_, needed));
}

std::optional<JsonNode> JsonNode::find(std::string_view key) const {
  simdjson::dom::element child;
  if (object().at_key(key).get(child) || child.is_null()) return std::nullopt;
  return JsonNode(child, fmt::format("{}: {}", where_, key));
}

bool JsonNode::says_null(std::string_view key) const {
  simdjson::dom::element child;
  return !object().at_key(key).get(child) && child.is_null();
}

JsonNode JsonNode::at(std::string_view key) const {
  auto child = find(key);
  CARAVAN_CHECK(child, IoError,
                fmt::format("{}: no '{}' (the format needs it). Is the file damaged?", where_, key));
  return *child;
}

std::string_view JsonNode::text() const {
  std::string_view text;
  if (value_.get(text)) refuse("a string");
  return text;
}

std::int64_t JsonNode::integer() const {
  std::int64_t number = 0;
  if (value_.get(number)) refuse("an integer");
  return number;
}

bool JsonNode::boolean() const {
  bool flag = false;
  if (value_.get(flag)) refuse("true or false");
  return flag;
}

simdjson::dom::array JsonNode::array() const {
  simdjson::dom::array array;
  if (value_.get(array)) refuse("a list");
  return array;
}

simdjson::dom::object JsonNode::object() const {
  simdjson::dom::object object;
  if (value_.get(object)) refuse("an object");
  return object;
}

std::string_view JsonNode::text_or(std::string_view key, std::string_view otherwise) const {
  const auto child = find(key);
  return child ? child->text() : otherwise;
}

bool JsonNode::flag(std::string_view key, bool otherwise) const {
  const auto child = find(key);
  return child ? child->boolean() : otherwise;
}

}  // namespace caravan::io
