#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/registry.hpp"
#include "core/plugin/open_plugin.hpp"
#include "core/plugin/search_path.hpp"

namespace caravan {

/// What a Registry knows. Components are keyed "kind/name".
struct Registry::State {
  std::vector<std::string> default_directories;
  bool scanned = false;
  SearchPath path;
  std::vector<PluginFile> files;                    // on the search path, each once
  std::vector<PluginFile> unusable;                 // the same, for other processors
  std::map<std::string, Found, std::less<>> known;  // linked in or opened; addresses stay
  std::vector<OpenPlugin> plugins;                  // in the order of opening

  /// Reads the search path once. Directories that are refused throw, or go to `refusals`.
  void scan(std::vector<Refusal>* refusals);
  /// Opens a file unless it is open, and adds its components. PluginError when one is taken.
  const OpenPlugin& open(const std::string& file);
  /// Opens the files that have no index, the likeliest names first, until one provides `key`; nullptr when
  /// none does.
  const Found* search_unindexed(const std::string& key, std::vector<Refusal>& refusals);
  const Found* find_known(std::string_view key) const;
  /// Every place that provides `key` without further opening; more than one is a PluginError.
  std::vector<std::string> places_of(const std::string& key) const;
  /// "\n  x86-64-v4/caravan-…: …" for each file that provides `key` to other processors only.
  std::string unusable_lines(const std::string& key) const;

 private:
  void take_file(PluginFile file);
};

std::string component_key(std::string_view kind, std::string_view name);

}  // namespace caravan
