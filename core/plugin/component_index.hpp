#pragma once

#include <optional>
#include <string>
#include <vector>

namespace caravan {

/// The "kind/name" entries of a plugin file's section `caravan_index`, read without opening the library.
/// Nothing when the file is not a 64-bit ELF file of this machine or has no such section.
std::optional<std::vector<std::string>> read_component_index(const std::string& path);

}  // namespace caravan
