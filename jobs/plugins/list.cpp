#include "jobs/plugins/list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "caravan/log.hpp"
#include "jobs/text_streams.hpp"

namespace caravan::jobs {
namespace {

void print_json(const std::vector<Found>& all, const std::vector<Refusal>& refusals) {
  nlohmann::ordered_json out = {{"components", nlohmann::json::array()},
                                {"refused", nlohmann::json::array()}};
  for (const Found& found : all) {
    const caravan_component& component = *found.component;
    out["components"].push_back({{"kind", component.kind},
                                 {"name", component.name},
                                 {"summary", component.summary},
                                 {"plugin", found.plugin},
                                 {"version", found.version},
                                 {"file", found.file}});
  }
  for (const Refusal& refusal : refusals)
    out["refused"].push_back({{"file", refusal.file}, {"reason", refusal.reason}});
  write_standard_output(out.dump(2) + "\n");
}

void print_text(const std::vector<Found>& all) {
  std::size_t widths[3] = {4, 4, 6};
  for (const Found& found : all) {
    widths[0] = std::max(widths[0], std::string_view(found.component->kind).size());
    widths[1] = std::max(widths[1], std::string_view(found.component->name).size());
    widths[2] = std::max(widths[2], found.plugin.size() + 1 + found.version.size());
  }
  const auto line = [&](std::string_view kind, std::string_view name, const std::string& plugin,
                        std::string_view text) {
    write_standard_output(fmt::format("{:<{}}  {:<{}}  {:<{}}  {}\n", kind, widths[0], name, widths[1],
                                      plugin, widths[2], text));
  };
  line("KIND", "NAME", "PLUGIN", "SUMMARY");
  for (const Found& found : all) {
    const std::string plugin = found.version.empty() ? found.plugin : found.plugin + " " + found.version;
    line(found.component->kind, found.component->name, plugin, found.component->summary);
  }
}

}  // namespace

void print_plugins(Registry& registry, ListStyle style) {
  std::vector<Refusal> refusals;
  const std::vector<Found> all = registry.list(&refusals);
  if (style == ListStyle::json) return print_json(all, refusals);
  print_text(all);
  for (const Refusal& refusal : refusals) log_warning(refusal.reason);
}

}  // namespace caravan::jobs
