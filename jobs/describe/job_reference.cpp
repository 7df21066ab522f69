#include "jobs/describe/job_reference.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "caravan/check.hpp"
#include "jobs/job/schema.hpp"
#include "jobs/plugins/params_json.hpp"

namespace caravan::jobs {
namespace {

struct Section {
  const char* name;
  const char* about;
  ParamSchema params;
};

constexpr Section kSections[] = {
    {"job", "The file's outermost keys.", kJobParams},
    {"train", "Steps, batch, learning rate, precision.", kTrainParams},
    {"train.recompute", "In place of a word, one of these.", kRecomputeParams},
    {"optimizer.groups", "A list of such maps; the first whose globs fit a parameter counts.",
     kOptimizerGroupParams},
    {"validation", "When and on what the loss is measured without training.", kValidationParams},
    {"validation.samples", "In place of a list of prompts.", kSampleParams},
    {"checkpoint", "When to save, what stays, where to start from.", kCheckpointParams},
    {"checkpoint.from", "In place of a path.", kForkParams},
    {"checkpoint.export", "In place of a word; both keys.", kExportParams},
    {"parallel", "How the ranks divide the work.", kParallelParams},
    {"metrics", "What records the run.", kMetricsParams},
    {"metrics.sinks",
     "A list of such maps; a name alone stands for {name: …}. Other keys are the component's.", kSinkParams},
    {"watchdog", "When a run that stands still is ended.", kWatchdogParams},
};

/// Kinds that a job names, and where.
constexpr struct {
  const char *kind, *about;
} kKinds[] = {
    {"model", "section `model`; `preset` names a file of such keys"},
    {"data", "section `data`, named by `source`"},
    {"optimizer", "section `optimizer`, named by `name`"},
    {"schedule", "`parallel.schedule_options`, named by `parallel.schedule`"},
    {"dispatch", "`model.dispatch`"},
    {"metrics", "a map in `metrics.sinks`, named by `name`"},
};

std::vector<const Section*> chosen(const std::string& wanted) {
  std::vector<const Section*> found;
  std::vector<std::string> names;
  for (const Section& section : kSections) {
    names.emplace_back(section.name);
    if (wanted.empty() || wanted == section.name) found.push_back(&section);
  }
  const std::string near = nearest_name(wanted, names);
  CARAVAN_CHECK(!found.empty(), ConfigError,
                fmt::format("no section '{}' in a job. {}", wanted,
                            near.empty() ? fmt::format("Known: {}.", fmt::join(names, ", "))
                                         : fmt::format("Did you mean '{}'?", near)));
  return found;
}

ParamSchema params_of(const Found& found) {
  return {found.component->params, found.component->num_params};
}

/// Of the kinds above, in their order.
template <class Visit>
void for_each_component(Registry& registry, Visit&& visit) {
  const std::vector<Found> all = registry.list();
  for (const auto& kind : kKinds) {
    for (const Found& found : all) {
      if (found.component->kind == std::string_view(kind.kind)) visit(kind.about, found);
    }
  }
}

std::string as_json(Registry& registry, const std::string& section) {
  nlohmann::ordered_json out = {{"sections", nlohmann::ordered_json::array()}};
  for (const Section* one : chosen(section))
    out["sections"].push_back(
        {{"name", one->name}, {"about", one->about}, {"params", params_json(one->params)}});
  if (!section.empty()) return out.dump(2) + "\n";
  out["components"] = nlohmann::ordered_json::array();
  for_each_component(registry, [&](const char*, const Found& found) {
    out["components"].push_back({{"kind", found.component->kind},
                                 {"name", found.component->name},
                                 {"summary", found.component->summary},
                                 {"params", params_json(params_of(found))}});
  });
  return out.dump(2) + "\n";
}

std::string as_markdown(Registry& registry, const std::string& section) {
  std::string text;
  if (section.empty())
    text +=
        "# Every key of a job file\n\nWritten by `caravan describe job --markdown` from the tables that jobs "
        "are "
        "checked against. What the sections are for: [job-files.md](job-files.md).\n";
  for (const Section* one : chosen(section))
    text += fmt::format("\n## `{}`\n\n{}\n\n{}", one->name, one->about,
                        describe(one->params, TableStyle::markdown));
  if (!section.empty()) return text;
  for_each_component(registry, [&](const char* about, const Found& found) {
    const caravan_component& component = *found.component;
    text += fmt::format("\n## {} `{}`\n\n{} Keys of {}.\n\n{}", component.kind, component.name,
                        component.summary, about, describe(params_of(found), TableStyle::markdown));
  });
  return text;
}

std::string as_text(Registry& registry, const std::string& section) {
  std::string text;
  for (const Section* one : chosen(section))
    text += fmt::format("{}: {}\n{}\n", one->name, one->about, describe(one->params));
  if (!section.empty()) return text;
  text += "and of components (caravan plugins describe KIND/NAME):\n";
  for_each_component(registry, [&](const char*, const Found& found) {
    text +=
        fmt::format("  {}/{}: {}\n", found.component->kind, found.component->name, found.component->summary);
  });
  return text;
}

}  // namespace

std::string job_reference(Registry& registry, const std::string& section, DescribeStyle style) {
  if (style == DescribeStyle::json) return as_json(registry, section);
  return style == DescribeStyle::markdown ? as_markdown(registry, section) : as_text(registry, section);
}

}  // namespace caravan::jobs
