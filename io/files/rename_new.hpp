#pragma once

#include <string>

namespace caravan::io {

/// Gives a file or a folder a name of the same file system at which nothing stands; IoError where something
/// does, which stays as it is.
void rename_new(const std::string& from, const std::string& to);

/// The same where the file system cannot refuse by itself: what appears at a folder's name within the instant
/// after it was looked at is replaced, if it is an empty folder.
void rename_new_by_links(const std::string& from, const std::string& to);

}  // namespace caravan::io
