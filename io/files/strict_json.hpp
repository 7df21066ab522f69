#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace caravan::io {

/// Parses JSON from outside: refuses duplicate keys and more than 64 levels with an IoError that names
/// `what`. The caller bounds the size of the text.
nlohmann::json parse_json_strict(std::string_view text, const std::string& what);

/// Whether a value is a whole number that fits. The library's own conversions take any number and cut it off,
/// which is undefined outside of the range.
bool is_int64(const nlohmann::json& value) noexcept;
/// Such a number; IoError otherwise.
std::int64_t int64_of(const nlohmann::json& value);
std::uint64_t uint64_of(const nlohmann::json& value);

}  // namespace caravan::io
