#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace caravan::io {

/// A JSON value from outside and the place that it stands at, for messages. Borrows the document.
class JsonNode {
 public:
  JsonNode(simdjson::dom::element value, std::string where) : value_(value), where_(std::move(where)) {}

  const std::string& where() const noexcept { return where_; }
  bool is_null() const noexcept { return value_.is_null(); }
  bool is_array() const noexcept { return value_.is_array(); }
  bool is_string() const noexcept { return value_.is_string(); }
  bool is_object() const noexcept { return value_.is_object(); }

  /// Absent and null are the same.
  std::optional<JsonNode> find(std::string_view key) const;
  /// Present, and null.
  bool says_null(std::string_view key) const;
  /// IoError when absent or null.
  JsonNode at(std::string_view key) const;

  /// IoError with the place when the type is another one.
  std::string_view text() const;
  std::int64_t integer() const;
  bool boolean() const;
  simdjson::dom::array array() const;
  simdjson::dom::object object() const;

  std::string_view text_or(std::string_view key, std::string_view otherwise) const;
  bool flag(std::string_view key, bool otherwise) const;

 private:
  [[noreturn]] void refuse(std::string_view needed) const;

  simdjson::dom::element value_;
  std::string where_;
};

/// Owns a parsed document of at most 64 levels; simdjson also checks UTF-8. IoError with its reason.
class JsonDocument {
 public:
  JsonDocument(std::string_view bytes, const std::string& path);
  const JsonNode& root() const noexcept { return *root_; }

 private:
  simdjson::dom::parser parser_;
  std::optional<JsonNode> root_;
};

}  // namespace caravan::io
