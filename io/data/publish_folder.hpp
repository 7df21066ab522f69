#pragma once

#include <string>

namespace caravan::io {

/// Gives the finished folder `beside` its name. When `folder` exists, the files move into it one by one; a
/// file of the same name and content may be there already, any other one is an IoError, and what had been
/// moved is removed again. The file `last` makes the others complete and moves last.
void publish_folder(const std::string& beside, const std::string& folder, const std::string& last);

}  // namespace caravan::io
