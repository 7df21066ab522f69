#pragma once

#include <map>
#include <string>
#include <vector>

namespace caravan::jobs {

/// The text of every skeleton file by its name ("schedule.cpp", "CMakeLists.txt"), with {{kind}}, {{name}},
/// {{Class}} and
/// {{version}} in it.
const std::map<std::string, std::string>& skeletons();

/// The kinds that have a skeleton, sorted.
std::vector<std::string> skeleton_kinds();

/// Writes a plugin's project (CMakeLists.txt, README.md, NAME.cpp) into `directory`, which must not exist or
/// be empty, and returns the paths. ConfigError for an unknown kind, a name that is no word, or a directory
/// with something in it.
std::vector<std::string> write_skeleton(const std::string& kind, const std::string& name,
                                        const std::string& directory);

}  // namespace caravan::jobs
