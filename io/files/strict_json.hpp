#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace caravan::io {

/// Parses JSON from outside: refuses duplicate keys and more than 64 levels with an IoError that names
/// `what`. The caller bounds the size of the text.
nlohmann::json parse_json_strict(std::string_view text, const std::string& what);

}  // namespace caravan::io
