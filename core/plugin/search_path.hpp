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

/// What a directory offers to this processor.
struct PluginFolder {
  std::vector<PluginFile> files;     // by path
  std::vector<PluginFile> unusable;  // for processors of more than this one has, or may use
};

/// The caravan-*.so of a directory and, of those in its folders of processor levels, the widest that this
/// process may run; one of a level takes the place of a file of the same name outside. PluginError when the
/// directory cannot be trusted or read.
PluginFolder plugin_folder(const std::string& directory);

}  // namespace caravan
