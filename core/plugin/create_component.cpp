#include "core/plugin/create_component.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/plugin.hpp"
#include "core/plugin/crash_marker.hpp"

namespace caravan {
namespace {

/// Carries the exit code of an error that crossed the C boundary as text.
class CreateError final : public PluginError {
 public:
  CreateError(std::string text, ExitCode code) : PluginError(std::move(text)), code_(code) {}
  ExitCode exit_code() const noexcept override { return code_; }

 private:
  ExitCode code_;
};

std::string origin_of(const Found& found) {
  if (found.version.empty()) return found.file;
  return fmt::format("plugin {} {}, {}", found.plugin, found.version, found.file);
}

/// " of job.yaml:12" for keys that stand in a file.
std::string place_of(const Config& config) {
  const std::string where = config.where();
  return where == Config().where() ? "" : " of " + where;
}

[[noreturn]] void throw_failure(const Found& found, const std::string& what, caravan_error& failure) {
  failure.text[sizeof failure.text - 1] = '\0';
  const std::string text = failure.text[0] ? failure.text : fmt::format("{} failed without a reason", what);
  const std::string scope = fmt::format("{} ({})", what, origin_of(found));
  if (failure.exit_code == static_cast<int>(ExitCode::wrong_use)) {
    ConfigError error(text);
    error.add_context(scope);
    throw error;
  }
  CreateError error(text, static_cast<ExitCode>(failure.exit_code));
  error.add_context(scope);
  throw error;
}

/// A component that is not made by caravan::component<T>() may throw, though the boundary forbids it.
int call_create(const caravan_component& component, const Host& host, const Config& config, void** object,
                caravan_error& failure) {
  try {
    return component.create(host.handle(), reinterpret_cast<const caravan_config*>(&config), object,
                            &failure);
  } catch (const std::exception& exception) {
    detail::fill_error(&failure, exception);
  } catch (...) {
    detail::fill_error(&failure, Error("an exception that is no std::exception"));
  }
  return CARAVAN_FAILED;
}

}  // namespace

void* create_component(const Found& found, std::uint32_t kind_version, const Host& host,
                       const Config& config) {
  const caravan_component& component = *found.component;
  const std::string what = fmt::format("{} '{}'", component.kind, component.name);
  CARAVAN_CHECK(
      component.kind_version == kind_version, PluginError,
      fmt::format("{} ({}) has version {} of the interface {} (this program has {}). Rebuild the plugin?",
                  what, origin_of(found), component.kind_version, component.kind, kind_version));
  const Config checked = validate(config, {component.params, component.num_params}, what);
  const CrashMarker marker(fmt::format("creating {} ({})", what, origin_of(found)));
  void* object = nullptr;
  caravan_error failure{};
  failure.struct_size = sizeof failure;
  failure.exit_code = static_cast<int>(ExitCode::failure);
  const int status = call_create(component, host, checked, &object, failure);
  if (status != CARAVAN_OK || !object) throw_failure(found, what + place_of(config), failure);
  return object;
}

}  // namespace caravan
