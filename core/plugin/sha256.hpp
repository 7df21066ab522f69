#pragma once

#include <string>

namespace caravan {

/// Lower-case hexadecimal SHA-256 of a file's bytes; IoError when it cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace caravan
