#pragma once

#include <filesystem>
#include <string>

namespace caravan::jobs {

/// <prefix>/share/caravan/<name> of the installation that this executable belongs to, or `source`, the folder
/// of the source tree that is installed there.
std::filesystem::path shared_folder(const std::string& name, const std::filesystem::path& source);

}  // namespace caravan::jobs
