#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "caravan/config.hpp"

namespace caravan::io {

/// Adds "key=value (only …)" where a model's key has a value that a format cannot express, which has none but
/// `value`.
inline void need_value(const Config& model, const char* key, std::string_view value,
                       std::vector<std::string>& problems) {
  const Config& given = model.find(key);
  const bool is_map = given.kind() == Config::Kind::map;
  if (given.is_null() || (!is_map && given.text() == value)) return;
  problems.push_back(fmt::format("{}={} (only {})", key, is_map ? "{…}" : given.text(), value));
}

}  // namespace caravan::io
