#pragma once

#include <string>
#include <string_view>

namespace caravan::io {

/// The SHA-256 of `bytes` in lower-case hexadecimal.
std::string sha256(std::string_view bytes);

}  // namespace caravan::io
