#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "caravan/check.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// <prefix>/share/caravan/presets of the installation that this executable belongs to, or the source tree it
/// was built from.
fs::path preset_folder() {
  const fs::path installed =
      fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "share/caravan/presets";
  return fs::is_directory(installed) ? installed : fs::path(CARAVAN_SOURCE_PRESETS);
}

}  // namespace

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(preset_folder(), ignored)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Config resolve_model(const Config& section) {
  const Config& preset = section.find("preset");
  Config model = section.emptied();
  if (!preset.is_null()) {
    const auto names = preset_names();
    const std::string& name = preset.as_string();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = nearest_name(name, names);
      throw ConfigError(fmt::format("{}: no model preset '{}' (there are: {}).{}", preset.where(), name,
                                    fmt::join(names, ", "),
                                    near.empty() ? "" : " Did you mean '" + near + "'?"));
    }
    model.merge(Config::load((preset_folder() / (name + ".yaml")).string()));
  }
  Config given = section;
  given.erase("preset");
  given.erase("plugin");
  model.merge(given);
  return model;
}

}  // namespace caravan::jobs
