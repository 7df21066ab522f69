#include "jobs/job/resolve_components.hpp"

#include <filesystem>
#include <string_view>

#include "caravan/error.hpp"
#include "core/base/schema_type.hpp"
#include "io/data/input_list.hpp"
#include "io/data/mix_source.hpp"
#include "jobs/job/place.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStandardInput = "-";

std::string absolute_path(const std::string& path) {
  if (path.empty() || path == kStandardInput) return path;
  std::string text = fs::absolute(path).lexically_normal().string();
  if (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

/// One of several inputs: @LIST is what its lines say now, so that the job is the same from any folder. A
/// list that is on other machines alone stays a list.
void append_input(Config& list, const std::string& input) {
  if (!input.starts_with('@')) return list.append(Config::scalar(absolute_path(input)));
  if (!fs::exists(input.substr(1))) return list.append(Config::scalar("@" + absolute_path(input.substr(1))));
  for (const std::string& line : io::read_input_list(input.substr(1)))
    list.append(Config::scalar(absolute_path(line)));
}

/// Of a path or of every path of a list.
Config made_absolute(const Config& value) {
  if (value.kind() == Config::Kind::scalar) return Config::scalar(absolute_path(value.text()));
  if (value.kind() != Config::Kind::list) return value;
  Config list = Config::list();
  for (const Config& item : value.items()) {
    item.kind() == Config::Kind::scalar ? append_input(list, item.text()) : list.append(item);
  }
  return list;
}

/// A name with a slash is the file of a plugin.
std::string absolute_name(const std::string& name) {
  return name.find('/') == std::string::npos ? name : absolute_path(name);
}

Config without(Config map, const std::vector<std::string>& keys) {
  for (const std::string& key : keys) map.erase(key);
  return map;
}

/// The job's seed and sequence length reach the data source from elsewhere; a seed of its own stays.
std::vector<std::string> filled_in(const Config& data) {
  if (data.has("seed")) return {"sequence_length"};
  return {"sequence_length", "seed"};
}

/// A part of a mix as it stands in a resolved job: the mix's own keys, then those of its source with their
/// defaults. What is no part stays as it is, for whoever opens it to refuse.
Config resolved_part(Registry& registry, const Config& part) {
  if (part.kind() != Config::Kind::map) return part;
  const Config own = with_defaults(part, io::kMixPartParams);
  const Config& source = own.find("source");
  if (source.kind() != Config::Kind::scalar || source.text() == io::MixSource::kName) return part;
  std::vector<std::string> filled = filled_in(part);
  if (!part.has("split")) filled.emplace_back("split");
  Config out = part.emptied();
  if (own.has("weight")) out.set("weight", own.at("weight"));
  out.merge(resolved_section(registry, {"data", "source", source.text(), filled},
                             without(part, {"weight", "source"})));
  return out;
}

/// The parts of `data`, where it is a mix, with the defaults of their sources.
Config with_resolved_parts(Registry& registry, const std::string& source, Config data) {
  const Config& given = data.find("parts");
  if (source != io::MixSource::kName || given.kind() != Config::Kind::list) return data;
  Config parts = Config::list();
  for (const Config& part : given.items()) parts.append(resolved_part(registry, part));
  data.set("parts", std::move(parts));
  return data;
}

/// Keys that differ from the data section: whole when they name another source, else as they are given.
Config resolved_validation_data(Registry& registry, const Job& job, const Config& given) {
  if (given.kind() != Config::Kind::map) return given;
  const Config& source = given.find("source");
  if (source.is_null() || source.as_string() == job.data_source)
    return with_resolved_parts(registry, job.data_source,
                               with_absolute_paths(given, schema_of(registry, "data", job.data_source)));
  return resolved_section(registry, {"data", "source", source.as_string(), filled_in(given)},
                          without(given, {"source"}));
}

/// Puts a section back with one of its keys replaced.
void replace(Config& resolved, const char* section, const char* key, Config value) {
  Config changed = resolved.at(section);
  changed.set(key, std::move(value));
  resolved.set(section, std::move(changed));
}

/// A job may be checked on a machine that lacks its device: whoever needs the device says so.
Config with_device_defaults(Registry& registry, const Job& job) {
  try {
    return with_defaults(job.device_options, schema_of(registry, "device", job.device));
  } catch (const PluginError&) {
    return job.device_options;
  }
}

void resolve_options(Job& job, Registry& registry) {
  const ParamSchema schema = at_place(place_of(job.resolved, {"parallel", "schedule"}),
                                      [&] { return schema_of(registry, "schedule", job.parallel.schedule); });
  const Config schedule = with_absolute_paths(with_defaults(job.parallel.schedule_options, schema), schema);
  if (!schedule.entries().empty()) replace(job.resolved, "parallel", "schedule_options", schedule);
  if (job.device == "auto") return;
  const Config device = with_device_defaults(registry, job);
  if (!device.entries().empty()) job.resolved.set("device_options", device);
}

}  // namespace

ParamSchema schema_of(Registry& registry, const char* kind, const std::string& name) {
  const caravan_component& component = *registry.find(kind, name).component;
  return {component.params, component.num_params};
}

Config with_defaults(const Config& given, ParamSchema schema) {
  if (!given.is_null() && given.kind() != Config::Kind::map) return given;
  Config out = given.emptied();
  for (const caravan_param& param : schema) {
    const auto type = ParamType::parse(param.type);
    if (given.has(param.name))
      out.set(param.name, given.at(param.name));
    else if (param.default_value && type)
      out.set(param.name, default_value(param, *type));
  }
  for (const auto& [key, value] : given.entries())
    if (!out.has(key)) out.set(key, value);
  return out;
}

Config with_absolute_paths(const Config& given, ParamSchema schema) {
  Config out = given;
  for (const caravan_param& param : schema) {
    const auto type = ParamType::parse(param.type);
    if (type && type->is_path && given.has(param.name))
      out.set(param.name, made_absolute(given.at(param.name)));
  }
  return out;
}

Config resolved_section(Registry& registry, const ComponentSection& section, const Config& given) {
  const ParamSchema schema = schema_of(registry, section.kind, section.name);
  Config out = given.emptied();
  out.set(section.key, absolute_name(section.name));
  out.merge(without(with_absolute_paths(with_defaults(given, schema), schema), section.trainer_fills));
  return std::string_view(section.kind) == "data"
             ? with_resolved_parts(registry, section.name, std::move(out))
             : out;
}

void resolve_components(Job& job, Registry& registry) {
  Config& resolved = job.resolved;
  const auto complete = [&](const ComponentSection& section, const Config& given) {
    resolved.set(section.kind, at_place(place_of(resolved, {section.kind, section.key}),
                                        [&] { return resolved_section(registry, section, given); }));
  };
  complete({"model", "plugin", job.model_plugin, {"positions"}}, job.model);
  complete({"data", "source", job.data_source, filled_in(job.data)}, job.data);
  complete({"optimizer", "name", job.optimizer_name, {}}, job.optimizer);
  if (!job.optimizer_groups.empty())
    replace(resolved, "optimizer", "groups", job.optimizer_groups.resolved());
  replace(resolved, "metrics", "sinks", resolved_sinks(registry, job.metrics));
  replace(resolved, "validation", "data", resolved_validation_data(registry, job, job.validation.data));
  resolve_options(job, registry);
  resolved = with_absolute_paths(resolved, kJobParams);
  resolved.set("checkpoint", with_absolute_paths(resolved.at("checkpoint"), kCheckpointParams));
  if (const Config& from = resolved.at("checkpoint").at("from"); !from.is_null())
    replace(resolved, "checkpoint", "from", with_absolute_paths(from, kForkParams));
}

}  // namespace caravan::jobs
