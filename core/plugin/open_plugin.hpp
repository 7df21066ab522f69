#pragma once

#include <string>
#include <vector>

#include "caravan/abi.h"

namespace caravan {

/// A plugin that passed every check. The manifest is the library's and lives as long as the process.
struct OpenPlugin {
  const caravan_plugin* manifest = nullptr;
  std::string file;
  std::vector<const caravan_component*> components;
};

/// Opens a plugin file for good (it is never closed: threads, exit handlers and live objects may be its own)
/// and checks, in this order: trust, symbol, sizes and ABI version, fingerprint, manifest, schemas. `file`
/// must be absolute and resolved, since dlopen would look a bare name up in LD_LIBRARY_PATH. PluginError with
/// the cause and the cure.
OpenPlugin open_plugin(const std::string& file);

/// PluginError naming `origin` when a component's kind, name, functions or schema cannot be right.
void check_component(const caravan_component& component, const std::string& origin);

}  // namespace caravan
