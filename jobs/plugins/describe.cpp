#include "jobs/plugins/describe.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "jobs/plugins/params_json.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

std::string hash_of(const Registry& registry, const std::string& file) {
  for (const Found& opened : registry.opened()) {
    if (opened.file == file) return opened.sha256;
  }
  return "";
}

void print_json(const Found& found, const std::string& hash, ParamSchema schema) {
  const caravan_component& component = *found.component;
  nlohmann::ordered_json out = {{"kind", component.kind},       {"name", component.name},
                                {"summary", component.summary}, {"interface_version", component.kind_version},
                                {"plugin", found.plugin},       {"version", found.version},
                                {"file", found.file},           {"sha256", hash},
                                {"params", params_json(schema)}};
  write_standard_output(out.dump(2) + "\n");
}

void print_markdown(const Found& found, ParamSchema schema) {
  const caravan_component& component = *found.component;
  write_standard_output(fmt::format("## {} `{}`\n\n{}\n\n{}", component.kind, component.name,
                                    component.summary, describe(schema, TableStyle::markdown)));
}

void print_text(const Found& found, const std::string& hash, ParamSchema schema) {
  const caravan_component& component = *found.component;
  std::string text = fmt::format(
      "{} {}: {}\nplugin     {}\nfile       {}\n", component.kind, component.name, component.summary,
      found.version.empty() ? found.plugin : found.plugin + " " + found.version, found.file);
  if (!hash.empty()) text += fmt::format("SHA-256    {}\n", hash);
  write_standard_output(text + "parameters\n" + describe(schema));
}

}  // namespace

ComponentName component_of(const std::string& kind_and_name) {
  const std::size_t slash = kind_and_name.find('/');
  CARAVAN_CHECK(
      slash != std::string::npos && slash > 0 && slash + 1 < kind_and_name.size(), ConfigError,
      fmt::format("'{}' names no component (must be KIND/NAME, as in schedule/1f1b)", kind_and_name));
  return {kind_and_name.substr(0, slash), kind_and_name.substr(slash + 1)};
}

void print_component(Registry& registry, const std::string& kind_and_name, DescribeStyle style) {
  const auto [kind, name] = component_of(kind_and_name);
  const Found& found = registry.find(kind, name);
  const ParamSchema schema(found.component->params, found.component->num_params);
  if (style == DescribeStyle::markdown) return print_markdown(found, schema);
  const std::string hash = hash_of(registry, found.file);
  if (style == DescribeStyle::json) return print_json(found, hash, schema);
  print_text(found, hash, schema);
}

}  // namespace caravan::jobs
