#pragma once

#include <string>

namespace caravan {

/// PluginError unless the directory, which must be absolute and resolved, can be written by its owner or
/// group only, and nobody else can exchange it for another (an ancestor that everybody can write must be
/// sticky, as /tmp is).
void check_trusted_directory(const std::string& directory);

/// PluginError unless the resolved path is a regular file that belongs to this user or root and that not
/// everybody can write, in a trusted directory. Code of whoever can write it runs with this user's rights.
void check_trusted_file(const std::string& file);

}  // namespace caravan
