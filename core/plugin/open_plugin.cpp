#include "core/plugin/open_plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caravan/check.hpp"
#include "caravan/fingerprint.h"
#include "caravan/schema.hpp"
#include "core/plugin/crash_marker.hpp"
#include "core/plugin/fingerprint.hpp"
#include "core/plugin/trust.hpp"

namespace caravan {
namespace {

constexpr std::uint32_t kMostComponents = 256;
constexpr std::uint32_t kMostParams = 256;

/// The loader's text without the path, which the message has already.
std::string loader_text(const std::string& file) {
  const char* raw = ::dlerror();
  std::string text = raw ? raw : "unknown reason";
  if (text.starts_with(file + ": ")) text.erase(0, file.size() + 2);
  return text;
}

const caravan_plugin& open_manifest(const std::string& file) {
  CARAVAN_CHECK(
      !file.empty() && file[0] == '/', PluginError,
      fmt::format("plugin path '{}' is not absolute (a bare name would be looked up elsewhere)", file));
  check_trusted_file(file);
  const CrashMarker marker(fmt::format("opening plugin {} (its static constructors run)", file));
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  CARAVAN_CHECK(library, PluginError,
                fmt::format("cannot open plugin {}: {}. Is a library that it needs missing here (see ldd)?",
                            file, loader_text(file)));
  const void* symbol = ::dlsym(library, CARAVAN_PLUGIN_SYMBOL);
  CARAVAN_CHECK(symbol, PluginError,
                fmt::format("file {} is not a caravan plugin (no symbol {}). Does one of its sources use "
                            "CARAVAN_PLUGIN(...)?",
                            file, CARAVAN_PLUGIN_SYMBOL));
  return *static_cast<const caravan_plugin*>(symbol);
}

/// Only what stands before the fingerprint may be read here.
void check_abi(const caravan_plugin& manifest, const std::string& file) {
  constexpr const char* kCure = "Rebuild it against this installation's caravan SDK?";
  CARAVAN_CHECK(manifest.struct_size >= sizeof(caravan_plugin), PluginError,
                fmt::format("plugin {} has a manifest of {} bytes (ABI {} has {}). {}", file,
                            manifest.struct_size, CARAVAN_ABI_MAJOR, sizeof(caravan_plugin), kCure));
  CARAVAN_CHECK(manifest.abi_major == CARAVAN_ABI_MAJOR, PluginError,
                fmt::format("plugin {} uses plugin ABI {} (this host speaks {}). {}", file,
                            manifest.abi_major, CARAVAN_ABI_MAJOR, kCure));
}

void check_texts(const caravan_plugin& manifest, const std::string& file) {
  const bool complete =
      manifest.fingerprint && manifest.name && manifest.version && manifest.license && manifest.summary;
  CARAVAN_CHECK(
      complete, PluginError,
      fmt::format("plugin {} has a manifest without a fingerprint, name, version, license or summary. "
                  "Use CARAVAN_PLUGIN(...)?",
                  file));
}

void check_fingerprint(const caravan_plugin& manifest, const std::string& file) {
  const auto differences = fingerprint_differences(manifest.fingerprint, CARAVAN_FINGERPRINT);
  CARAVAN_CHECK(
      differences.empty(), PluginError,
      fmt::format("plugin {} ({} {}) was built in an incompatible environment:\n    {}\n  Rebuild it with "
                  "-DCaravan_DIR=<prefix>/lib/cmake/Caravan of this installation.",
                  file, manifest.name, manifest.version, fmt::join(differences, "\n    ")));
}

/// Components lie as far apart as the plugin's own struct is large; a newer minor version may have appended
/// to it.
std::vector<const caravan_component*> collect_components(const caravan_plugin& manifest,
                                                         const std::string& file) {
  CARAVAN_CHECK(
      manifest.components && manifest.num_components > 0 && manifest.num_components <= kMostComponents,
      PluginError,
      fmt::format("plugin {} has {} components (must be 1 to {})", file, manifest.num_components,
                  kMostComponents));
  const std::uint32_t stride = manifest.components->struct_size;
  std::vector<const caravan_component*> components;
  for (std::uint32_t i = 0; i < manifest.num_components && stride >= sizeof(caravan_component); ++i) {
    const char* at = reinterpret_cast<const char*>(manifest.components) + std::size_t{i} * stride;
    components.push_back(reinterpret_cast<const caravan_component*>(at));
  }
  CARAVAN_CHECK(
      !components.empty(), PluginError,
      fmt::format(
          "plugin {} has components of {} bytes (ABI {} has {}). Rebuild it against this installation's "
          "caravan SDK?",
          file, stride, CARAVAN_ABI_MAJOR, sizeof(caravan_component)));
  return components;
}

bool is_word(const char* text) {
  const std::string_view word = text ? text : "";
  return !word.empty() && word.size() <= 64 &&
         word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == std::string_view::npos;
}

}  // namespace

void check_component(const caravan_component& component, const std::string& origin) {
  CARAVAN_CHECK(
      is_word(component.kind) && is_word(component.name), PluginError,
      fmt::format("plugin {} has a component of kind '{}' and name '{}' (must be a-z, 0-9, _ and -)", origin,
                  component.kind ? component.kind : "", component.name ? component.name : ""));
  const std::string what = fmt::format("{} '{}'", component.kind, component.name);
  CARAVAN_CHECK(component.create && component.destroy && component.summary, PluginError,
                fmt::format("plugin {}: {} lacks create, destroy or summary. Use caravan::component<T>()?",
                            origin, what));
  CARAVAN_CHECK(component.num_params <= kMostParams && (component.params || component.num_params == 0),
                PluginError,
                fmt::format("plugin {}: {} has {} parameters (must be 0 to {})", origin, what,
                            component.num_params, kMostParams));
  try {
    check_schema({component.params, component.num_params}, what);
  } catch (const ConfigError& error) {
    throw PluginError(fmt::format("plugin {} has a wrong schema: {}", origin, error.message()));
  }
}

OpenPlugin open_plugin(const std::string& file) {
  const caravan_plugin& manifest = open_manifest(file);
  check_abi(manifest, file);
  check_texts(manifest, file);
  check_fingerprint(manifest, file);
  OpenPlugin opened{&manifest, file, collect_components(manifest, file)};
  for (const caravan_component* component : opened.components) check_component(*component, file);
  return opened;
}

}  // namespace caravan
