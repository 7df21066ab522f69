#pragma once

#include <string>
#include <vector>

namespace caravan {

/// PluginError unless the directory, which must be absolute and resolved, can be written by its owner or
/// group only, and nobody else can exchange it for another (an ancestor that everybody can write must be
/// sticky, as /tmp is).
void check_trusted_directory(const std::string& directory);

/// PluginError unless the resolved path is a regular file that not everybody can write, in a trusted
/// directory, of a trusted owner: this user, root, an account of CARAVAN_TRUSTED_USERS, and in the plugin
/// directory of this executable's installation the executable's owner. Code of whoever can write it runs with
/// this user's rights.
void check_trusted_file(const std::string& file);

/// PluginError where `file` of a plugin directory is a link out of it to a file of another user but root,
/// trusted or not: an account is trusted with what it puts there, not with all that it owns. `target`: `file`
/// resolved.
void check_trusted_link(const std::string& file, const std::string& target);

/// Names and numbers of accounts that CARAVAN_TRUSTED_USERS lists, with commas between; unchecked.
std::vector<std::string> trusted_users();

}  // namespace caravan
