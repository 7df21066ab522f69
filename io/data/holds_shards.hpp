#pragma once

#include <string>

namespace caravan::io {

/// Whether the folder holds files with the names of token shards.
bool holds_shards(const std::string& folder);

}  // namespace caravan::io
