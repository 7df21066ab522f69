#include "jobs/identity/stored_job.hpp"

#include <algorithm>
#include <set>

#include "caravan/check.hpp"
#include "io/data/mix_source.hpp"
#include "jobs/job/resolve_components.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

struct Section {
  const char* key;
  ParamSchema schema;
};

constexpr Section kSections[] = {
    {"train", kTrainParams},       {"validation", kValidationParams}, {"checkpoint", kCheckpointParams},
    {"parallel", kParallelParams}, {"watchdog", kWatchdogParams},
};

/// `name_key` of a section, as versions before stored it: the usual one was left out.
std::string name_in(const Config& section, const char* name_key, const char* usual) {
  const Config& name = section.find(name_key);
  return name.is_null() ? usual : name.as_string();
}

/// With the defaults of the plugin that the job has opened already, when it is the same; another one is a
/// difference by its name. Keys that the job's own section leaves to the trainer are left out.
Config completed(Registry& registry, const ComponentSection& mine, const std::string& name, Config given) {
  given.erase(mine.key);
  if (name == mine.name) return resolved_section(registry, mine, given);
  given.set(mine.key, name);
  return given;
}

/// Of the parts of a mix.
std::set<std::string> sources_in(const Config& data) {
  std::set<std::string> names;
  for (const Config& part : data.find("parts").items()) {
    const Config& source = part.find("source");
    if (source.is_null()) names.insert(io::kUsualPartSource);
    if (source.kind() == Config::Kind::scalar) names.insert(source.text());
  }
  return names;
}

/// The same of the data; a mix with a part of a source that the job has not opened stays as it is.
Config completed_data(Registry& registry, const Job& now, const Config& given) {
  const std::string name = name_in(given, "source", "");
  const std::set<std::string> opened = sources_in(now.data), wanted = sources_in(given);
  if (name == io::MixSource::kName && !std::ranges::includes(opened, wanted)) return given;
  std::vector<std::string> of_trainer{"sequence_length"};
  if (!now.data.has("seed") && !given.has("seed")) of_trainer.emplace_back("seed");
  return completed(registry, {"data", "source", now.data_source, of_trainer}, name,
                   given.is_null() ? Config::map() : given);
}

/// Options of a schedule or device, likewise.
void complete_options(Config& map, const char* key, ParamSchema schema) {
  const Config options = with_defaults(map.find(key), schema);
  if (!options.entries().empty()) map.set(key, options);
}

void complete_options(Config& tree, const Job& now, Registry& registry) {
  Config parallel = tree.find("parallel");
  if (name_in(parallel, "schedule", "") == now.parallel.schedule)
    complete_options(parallel, "schedule_options", schema_of(registry, "schedule", now.parallel.schedule));
  tree.set("parallel", parallel);
  if (now.device != "auto" && name_in(tree, "device", "") == now.device)
    complete_options(tree, "device_options", schema_of(registry, "device", now.device));
}

}  // namespace

Config stored_job(const std::string& yaml, const Job& now, Registry& registry) {
  const Config given = with_metrics_keys(Config::parse(yaml, "the job of the checkpoint"));
  CARAVAN_CHECK(given.kind() == Config::Kind::map, ConfigError,
                "the job of the checkpoint is no map of keys");
  Config tree = with_defaults(given, kJobParams);
  for (const Section& section : kSections)
    tree.set(section.key, with_defaults(tree.find(section.key), section.schema));
  tree.set("metrics", resolve_metrics(given.find("metrics")));
  const Config optimizer = tree.find("optimizer");
  const std::string model = name_in(tree.find("model"), "plugin", "llama4");
  tree.set("model", completed(registry, {"model", "plugin", now.model_plugin, {"positions"}}, model,
                              resolve_model(tree.find("model"))));
  tree.set("data", completed_data(registry, now, tree.find("data")));
  tree.set("optimizer",
           completed(registry, {"optimizer", "name", now.optimizer_name, {}},
                     name_in(optimizer, "name", "adamw"), optimizer.is_null() ? Config::map() : optimizer));
  complete_options(tree, now, registry);
  return tree;
}

}  // namespace caravan::jobs
