#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace caravan {

/// One line "key: plugin X, host Y" for each key of two fingerprints ("key=value;key=value") that differs, by
/// name. A key that one side lacks is "none" there.
std::vector<std::string> fingerprint_differences(std::string_view plugin, std::string_view host);

}  // namespace caravan
