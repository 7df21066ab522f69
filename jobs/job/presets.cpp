#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "caravan/check.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/shared_files.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

fs::path preset_folder() {
  return shared_folder("presets", CARAVAN_SOURCE_PRESETS);
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
