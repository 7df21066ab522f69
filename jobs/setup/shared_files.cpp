#include "jobs/setup/shared_files.hpp"

namespace caravan::jobs {

namespace fs = std::filesystem;

fs::path shared_folder(const std::string& name, const fs::path& source) {
  const fs::path prefix = fs::read_symlink("/proc/self/exe").parent_path().parent_path();
  const fs::path installed = prefix / "share/caravan" / name;
  return fs::is_directory(installed) ? installed : source;
}

}  // namespace caravan::jobs
