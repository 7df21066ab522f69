#include "core/plugin/registry_state.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "core/plugin/trust.hpp"

namespace caravan {
namespace {

[[noreturn]] void refuse_duplicate(std::string_view key, const std::string& first,
                                   const std::string& second) {
  const std::size_t slash = key.find('/');
  throw PluginError(
      fmt::format("{} '{}' is provided twice: by {} and by {} (which one is meant is unclear). Remove one?",
                  key.substr(0, slash), key.substr(slash + 1), first, second));
}

/// 0: caravan-<kind>-<name>.so, 1: caravan-<name>.so, 2: any other.
int unlikeliness(const std::string& file, const std::string& key) {
  std::string dashed = key;
  std::replace(dashed.begin(), dashed.end(), '/', '-');
  if (file.ends_with(fmt::format("/caravan-{}.so", dashed))) return 0;
  return file.ends_with(fmt::format("/caravan-{}.so", key.substr(key.find('/') + 1))) ? 1 : 2;
}

bool provides(const PluginFile& file, const std::string& key) {
  return file.index && std::find(file.index->begin(), file.index->end(), key) != file.index->end();
}

}  // namespace

std::string component_key(std::string_view kind, std::string_view name) {
  return fmt::format("{}/{}", kind, name);
}

const Found* Registry::State::find_known(std::string_view key) const {
  const auto found = known.find(key);
  return found == known.end() ? nullptr : &found->second;
}

std::vector<std::string> Registry::State::places_of(const std::string& key) const {
  std::vector<std::string> places;
  if (const Found* found = find_known(key)) places.push_back(found->file);
  for (const PluginFile& file : files) {
    if (provides(file, key) && std::find(places.begin(), places.end(), file.path) == places.end())
      places.push_back(file.path);
  }
  if (places.size() > 1) refuse_duplicate(key, places[0], places[1]);
  return places;
}

std::string Registry::State::unusable_lines(const std::string& key) const {
  std::string lines;
  for (const PluginFile& file : unusable) {
    if (!provides(file, key)) continue;
    lines += fmt::format("\n  not for this processor{}: {}",
                         ::secure_getenv("CARAVAN_PROCESSOR") ? " (or CARAVAN_PROCESSOR forbids it)" : "",
                         file.path);
  }
  return lines;
}

void Registry::State::scan(std::vector<Refusal>* refusals) {
  if (scanned) return;
  path = search_path(default_directories);
  if (const auto users = trusted_users(); !users.empty())
    log_info(fmt::format("plugins of other accounts are trusted (CARAVAN_TRUSTED_USERS): {}",
                         fmt::join(users, ", ")));
  for (const std::string& directory : path.directories) {
    try {
      PluginFolder folder = plugin_folder(directory);
      for (PluginFile& file : folder.files) take_file(std::move(file));
      std::move(folder.unusable.begin(), folder.unusable.end(), std::back_inserter(unusable));
    } catch (const PluginError& error) {
      if (!refusals) throw;
      refusals->push_back({directory, error.message()});
    }
  }
  scanned = true;
}

void Registry::State::take_file(PluginFile file) {
  const auto same = [&](const PluginFile& other) { return other.path == file.path; };
  if (std::any_of(files.begin(), files.end(), same)) return;
  files.push_back(std::move(file));
}

const OpenPlugin& Registry::State::open(const std::string& file) {
  const auto same = [&](const OpenPlugin& plugin) { return plugin.file == file; };
  const auto already = std::find_if(plugins.begin(), plugins.end(), same);
  if (already != plugins.end()) return *already;
  OpenPlugin plugin = open_plugin(file);
  for (const caravan_component* component : plugin.components) {
    const std::string key = component_key(component->kind, component->name);
    if (const Found* taken = find_known(key)) refuse_duplicate(key, taken->file, file);
  }
  for (const caravan_component* component : plugin.components) {
    known.emplace(component_key(component->kind, component->name),
                  Found{component, plugin.manifest->name, plugin.manifest->version, file, ""});
  }
  return plugins.emplace_back(std::move(plugin));
}

const Found* Registry::State::search_unindexed(const std::string& key, std::vector<Refusal>& refusals) {
  std::vector<std::string> candidates;
  for (const PluginFile& file : files) {
    if (!file.index) candidates.push_back(file.path);
  }
  std::stable_sort(candidates.begin(), candidates.end(), [&](const std::string& a, const std::string& b) {
    return unlikeliness(a, key) < unlikeliness(b, key);
  });
  for (const std::string& file : candidates) {
    try {
      open(file);
    } catch (const PluginError& error) {
      refusals.push_back({file, error.message()});
    }
    if (const Found* found = find_known(key)) return found;
  }
  return nullptr;
}

}  // namespace caravan
