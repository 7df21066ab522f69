#pragma once

#include <string>
#include <string_view>

namespace caravan::io {

/// What this machine calls itself; `otherwise` when it will not say.
std::string host_name(std::string_view otherwise);

}  // namespace caravan::io
