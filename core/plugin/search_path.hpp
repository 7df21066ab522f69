#pragma once

#include <optional>
#include <string>
#include <vector>

namespace caravan {

/// The directories where plugins are looked for.
struct SearchPath {
  std::vector<std::string> directories;  // absolute and resolved, each once, in order
  std::vector<std::string> absent;       // named, but not there
  std::string text;                      // for messages
};

/// CARAVAN_PLUGIN_PATH, then `defaults`. PluginError for a relative entry of CARAVAN_PLUGIN_PATH: what it
/// means would depend on where the job starts. "none" gives no directory at all.
SearchPath search_path(const std::vector<std::string>& defaults);

/// A plugin file and what it says it holds.
struct PluginFile {
  std::string path;                               // absolute and resolved
  std::optional<std::vector<std::string>> index;  // "kind/name"; nothing: only opening it tells
};

/// The caravan-*.so of a directory, by name. PluginError when the directory cannot be trusted or read.
std::vector<PluginFile> plugin_files(const std::string& directory);

}  // namespace caravan
