#include "caravan/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "caravan/check.hpp"
#include "core/plugin/create_component.hpp"
#include "core/plugin/open_plugin.hpp"
#include "core/plugin/registry_state.hpp"
#include "core/plugin/sha256.hpp"

namespace caravan {
namespace {

constexpr const char* kLinkedIn = "<linked in>";

std::string resolved_file(std::string_view name) {
  std::error_code error;
  const std::string file = std::filesystem::canonical(name, error).string();
  CARAVAN_CHECK(!error, PluginError,
                fmt::format("no plugin file {} ({}). Is the path right?", name, error.message()));
  return file;
}

/// The names of a kind that are known without opening anything.
std::vector<std::string> known_names(const std::vector<PluginFile>& files,
                                     const std::map<std::string, Found, std::less<>>& known,
                                     std::string_view kind) {
  const std::string prefix = component_key(kind, "");
  std::set<std::string> names;
  const auto take = [&](const std::string& key) {
    if (key.starts_with(prefix)) names.insert(key.substr(prefix.size()));
  };
  for (const auto& [key, found] : known) take(key);
  for (const PluginFile& file : files) {
    if (file.index) std::for_each(file.index->begin(), file.index->end(), take);
  }
  return {names.begin(), names.end()};
}

std::string refusal_lines(const std::vector<Refusal>& refusals) {
  std::string text;
  for (const Refusal& refusal : refusals) text += "\n  refused: " + refusal.reason;
  return text;
}

/// The one component of `kind` in a plugin that is named by its file.
std::string key_in_file(const OpenPlugin& plugin, std::string_view kind) {
  std::vector<std::string> names;
  for (const caravan_component* component : plugin.components) {
    if (component->kind == kind) names.emplace_back(component->name);
  }
  CARAVAN_CHECK(
      names.size() == 1, PluginError,
      fmt::format("plugin {} has {} components of kind {} (must be one to be named by its file). Put its "
                  "directory into CARAVAN_PLUGIN_PATH and use a name?",
                  plugin.file, names.size(), kind));
  return component_key(kind, names[0]);
}

}  // namespace

Registry::Registry(std::vector<std::string> plugin_dirs) : state_(std::make_unique<State>()) {
  state_->default_directories = std::move(plugin_dirs);
}

Registry::~Registry() = default;

void Registry::add(const caravan_component& component) {
  check_component(component, kLinkedIn);
  const std::string key = component_key(component.kind, component.name);
  const bool added = state_->known.emplace(key, Found{&component, kLinkedIn, "", kLinkedIn, ""}).second;
  CARAVAN_CHECK(added, PluginError, fmt::format("{} '{}' is added twice", component.kind, component.name));
}

const Found& Registry::find(std::string_view kind, std::string_view name) {
  if (name.find('/') != std::string_view::npos) {
    const std::string key = key_in_file(state_->open(resolved_file(name)), kind);
    return *state_->find_known(key);
  }
  state_->scan(nullptr);
  const std::string key = component_key(kind, name);
  const std::vector<std::string> places = state_->places_of(key);
  if (!places.empty() && places[0] != kLinkedIn) state_->open(places[0]);
  std::vector<Refusal> refusals;
  const Found* found = places.empty() ? state_->search_unindexed(key, refusals) : state_->find_known(key);
  if (found) return *found;
  const std::vector<std::string> candidates = known_names(state_->files, state_->known, kind);
  const std::string near = nearest_name(name, candidates);
  const std::string remedy = !near.empty()        ? fmt::format("Did you mean '{}'?", near)
                             : candidates.empty() ? fmt::format("There is no {} at all.", kind)
                                                  : fmt::format("Known: {}.", fmt::join(candidates, ", "));
  throw PluginError(fmt::format("no {} '{}' (searched: {}). {}{}{}", kind, name, state_->path.text, remedy,
                                refusal_lines(refusals), state_->unusable_lines(key)));
}

std::vector<Found> Registry::list(std::vector<Refusal>* refusals) {
  std::vector<Refusal> refused;
  state_->scan(&refused);
  for (const PluginFile& file : state_->files) {
    try {
      state_->open(file.path);
    } catch (const PluginError& error) {
      refused.push_back({file.path, error.message()});
    }
  }
  if (refusals) *refusals = std::move(refused);
  std::vector<Found> all;
  for (const auto& [key, found] : state_->known) all.push_back(found);
  return all;
}

std::vector<std::string> Registry::names(std::string_view kind) {
  state_->scan(nullptr);
  return known_names(state_->files, state_->known, kind);
}

std::vector<Found> Registry::opened() const {
  std::vector<Found> all;
  for (const OpenPlugin& plugin : state_->plugins) {
    all.push_back(
        {nullptr, plugin.manifest->name, plugin.manifest->version, plugin.file, sha256_of_file(plugin.file)});
  }
  std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.plugin < b.plugin; });
  return all;
}

void* Registry::create_raw(const Found& found, std::uint32_t kind_version, const Host& host,
                           const Config& config) {
  return create_component(found, kind_version, host, config);
}

}  // namespace caravan
