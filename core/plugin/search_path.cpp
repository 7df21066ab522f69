#include "core/plugin/search_path.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "caravan/check.hpp"
#include "caravan/registry.hpp"
#include "core/plugin/component_index.hpp"
#include "core/plugin/processor_level.hpp"
#include "core/plugin/trust.hpp"

namespace caravan {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split_colons(std::string_view list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) parts.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void add_directory(const std::string& directory, SearchPath& path) {
  std::error_code error;
  const std::string resolved = fs::canonical(directory, error).string();
  if (error) {
    path.absent.push_back(directory);
    return;
  }
  const auto known = std::find(path.directories.begin(), path.directories.end(), resolved);
  if (known == path.directories.end()) path.directories.push_back(resolved);
}

/// The caravan-*.so of one folder, by name.
std::map<std::string, PluginFile> files_of(const std::string& directory) {
  check_trusted_directory(directory);
  std::error_code error;
  std::map<std::string, PluginFile> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!name.starts_with("caravan-") || !name.ends_with(".so")) continue;
    std::error_code broken_link;
    const fs::path resolved = fs::canonical(entry->path(), broken_link);
    if (!broken_link) check_trusted_link(entry->path().string(), resolved.string());
    files[name] = {broken_link ? entry->path().string() : resolved.string(),
                   read_component_index(entry->path().string())};
  }
  CARAVAN_CHECK(!error, PluginError,
                fmt::format("cannot read plugin directory {} ({})", directory, error.message()));
  return files;
}

}  // namespace

SearchPath search_path(const std::vector<std::string>& defaults) {
  // secure_getenv: a setuid program must not let its caller choose what it runs.
  const char* listed = ::secure_getenv("CARAVAN_PLUGIN_PATH");
  SearchPath path;
  if (listed && std::string_view(listed) == "none") {
    path.text = "CARAVAN_PLUGIN_PATH=none: only what is linked in";
    return path;
  }
  std::vector<std::string> named;
  if (listed) named.push_back(fmt::format("CARAVAN_PLUGIN_PATH={}", listed));
  for (const std::string& directory : split_colons(listed ? listed : "")) {
    CARAVAN_CHECK(
        directory[0] == '/', PluginError,
        fmt::format("CARAVAN_PLUGIN_PATH has the relative directory '{}' (it would depend on where the job "
                    "starts). Write it from '/'?",
                    directory));
    add_directory(directory, path);
  }
  for (const std::string& directory : defaults) {
    named.push_back(directory);
    add_directory(directory, path);
  }
  path.text = named.empty() ? "no directory" : fmt::format("{}", fmt::join(named, ", "));
  return path;
}

PluginFolder plugin_folder(const std::string& directory) {
  const std::vector<std::string_view> usable = usable_processor_levels();
  std::map<std::string, PluginFile> by_name;
  PluginFolder folder;
  for (const std::string_view level : kProcessorLevels) {
    const std::string inside = fmt::format("{}/{}", directory, level);
    if (!fs::is_directory(inside)) continue;
    std::map<std::string, PluginFile> files = files_of(inside);
    if (std::find(usable.begin(), usable.end(), level) != usable.end()) {
      by_name.merge(files);
    } else {
      for (auto& [name, file] : files) folder.unusable.push_back(std::move(file));
    }
  }
  by_name.merge(files_of(directory));
  for (auto& [name, file] : by_name) folder.files.push_back(std::move(file));
  std::sort(folder.files.begin(), folder.files.end(),
            [](const PluginFile& a, const PluginFile& b) { return a.path < b.path; });
  return folder;
}

std::vector<std::string> Registry::plugin_directories() {
  std::error_code error;
  const fs::path executable = fs::read_symlink("/proc/self/exe", error);
  CARAVAN_CHECK(!error, PluginError, fmt::format("cannot find this executable's path ({})", error.message()));
  const fs::path prefix = executable.parent_path().parent_path();
  const fs::path build = prefix / "plugins_out";
  if (fs::is_directory(build, error)) return {build.string()};
  return {(prefix / CARAVAN_PLUGIN_SUBDIRECTORY).string()};  // an absolute one replaces the prefix
}

}  // namespace caravan
