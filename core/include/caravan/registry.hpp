#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/abi.h"
#include "caravan/config.hpp"
#include "caravan/host.hpp"
#include "caravan/schema.hpp"

namespace caravan {

/// An object made by a component, destroyed by the component that made it.
template <class T>
using Made = std::unique_ptr<T, void (*)(void*)>;

/// A component and where it came from.
struct Found {
  const caravan_component* component = nullptr;
  std::string plugin;   ///< "schedule-1f1b"
  std::string version;  ///< "1.0.0"
  std::string file;     ///< absolute path, or "<linked in>"
  std::string
      sha256;  ///< of the file; filled by `opened`, since hashing costs milliseconds that start-up has not
};

/// A plugin file that `list` could not use, and why.
struct Refusal {
  std::string file;
  std::string reason;
};

/// Knows components by kind and name: those linked in, and those of the plugins on the search path, which are
/// opened on first use and never closed. Search path: CARAVAN_PLUGIN_PATH (colon list; "none": linked-in
/// only), then the plugin directory of the installation or build tree. A name that contains '/' is a file.
/// A directory may have folders x86-64-v4, -v3, -v2: of a file that lies in several of them, the one for the
/// widest level is taken that the processor has and CARAVAN_PROCESSOR, where it is set, allows.
///
/// Only the plugins that are asked for are opened: what the others hold is read from their files. A kind and
/// name that two files provide is an error that names both. [host thread]
class Registry {
 public:
  /// `plugin_dirs` are searched in order after CARAVAN_PLUGIN_PATH.
  explicit Registry(std::vector<std::string> plugin_dirs);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  /// Adds a component that is linked into the executable. PluginError when kind and name are taken.
  void add(const caravan_component& component);

  /// PluginError with what was searched and the nearest names when there is none.
  const Found& find(std::string_view kind, std::string_view name);
  /// Everything on the search path, sorted by kind and name; opens all of it. Files that are refused go to
  /// `refusals`.
  std::vector<Found> list(std::vector<Refusal>* refusals = nullptr);
  /// Names of a kind, sorted, without opening anything (plugins that do not use CARAVAN_PLUGIN are left out).
  std::vector<std::string> names(std::string_view kind);

  /// Finds, validates `config` against the component's schema, creates. T must be the interface of `kind`.
  template <class T>
  Made<T> create(std::string_view name, const Host& host, const Config& config) {
    const Found& found = find(T::kKind, name);
    return Made<T>(static_cast<T*>(create_raw(found, T::kKindVersion, host, config)),
                   found.component->destroy);
  }

  /// The plugins opened so far, by name, with their hash and no component: for the run header and for
  /// `agree_on_plugins`.
  std::vector<Found> opened() const;

  /// Where this executable's plugins are: plugins_out beside the build tree's bin, else the installation's
  /// directory.
  static std::vector<std::string> plugin_directories();

 private:
  void* create_raw(const Found& found, std::uint32_t kind_version, const Host& host, const Config& config);

  struct State;
  std::unique_ptr<State> state_;
};

class Communicator;

/// [collective over world] PluginError on every rank, naming plugin and rank, unless all ranks have opened
/// the same files (name, path and SHA-256) as rank 0: otherwise one rank could train with last week's
/// library.
void agree_on_plugins(const Registry& registry, Communicator& world);

}  // namespace caravan
