#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace caravan::io {

/// Typed reading of one JSON object with messages that name file and key. A key that is absent or null has
/// the default.
class JsonFields {
 public:
  /// Borrows both; IoError when `object` is none.
  JsonFields(const nlohmann::json& object, std::string path);

  bool has(const char* key) const;
  bool says_null(const char* key) const;            ///< present, and null
  const nlohmann::json& at(const char* key) const;  ///< IoError when absent or null
  std::int64_t integer(const char* key, std::int64_t otherwise) const;
  double number(const char* key, double otherwise) const;
  double number(const char* key) const;  ///< IoError when absent
  double positive(const char* key, double otherwise) const;
  std::string text(const char* key, const std::string& otherwise) const;
  /// true, false, or a number: the first released files wrote 4 where they meant true.
  bool flag(const char* key, bool otherwise) const;
  /// Whole numbers or booleans.
  std::vector<std::int64_t> integers(const char* key) const;
  /// One id or a list of them.
  std::vector<std::int64_t> ids(const char* key) const;
  JsonFields inner(const char* key) const;

  [[noreturn]] void refuse(const char* key, std::string_view why) const;
  const std::string& path() const noexcept { return path_; }

 private:
  const nlohmann::json& object_;
  std::string path_;
};

}  // namespace caravan::io
