#pragma once

#include <filesystem>
#include <string>

#include "tests/io/temporary_folder.hpp"
#include "tests/support/launched_rank.hpp"

namespace caravan::test {

/// A program that runs shell lines and then the executable of CARAVAN_BINARY with the arguments that it was
/// given, followed by what the lines left in $more. For starts from another folder, and for ranks that are
/// not like others.
inline std::string script(const std::string& path, const std::string& lines) {
  spill(path, "#!/bin/bash\nmore=()\n" + lines + "\nexec \"$CARAVAN_BINARY\" \"$@\" \"${more[@]}\"\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  return path;
}

/// The same with `lines` for rank 1 alone.
inline std::string script_of_rank_1(const std::string& path, const std::string& lines) {
  return script(path, std::string("if [ \"") + kShellRank + "\" = 1 ]; then\n" + lines + "\nfi");
}

}  // namespace caravan::test
