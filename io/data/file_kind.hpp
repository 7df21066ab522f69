#pragma once

#include <string_view>

namespace caravan::io {

/// What a file that is no text looks like by its first 512 bytes: "UTF-16", "an executable (ELF)", "xz data";
/// "" when nothing is known.
std::string_view kind_of_bytes(std::string_view first);

}  // namespace caravan::io
