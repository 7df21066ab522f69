#pragma once

#include <string>
#include <vector>

namespace caravan::jobs {

/// The ends of paths that tell them apart: as few of the last folders as make all of them differ. ConfigError
/// when one is given twice.
std::vector<std::string> distinct_names(const std::vector<std::string>& paths);

}  // namespace caravan::jobs
