#pragma once

#include "caravan/registry.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// What a component accepts. PluginError when there is none of this name. Lives as long as the registry.
ParamSchema schema_of(Registry& registry, const char* kind, const std::string& name);

/// `given` (a map or null) with the defaults of `schema` for what it leaves out, keys in schema order and
/// unknown ones last. Refuses nothing: whoever uses the keys does. Anything but a map is returned as it is.
Config with_defaults(const Config& given, ParamSchema schema);

/// The same with every text of type "path" made absolute, so that it means the same in another folder.
Config with_absolute_paths(const Config& given, ParamSchema schema);

/// Completes `job.resolved`: presets and defaults of the plugins that it names are filled in, paths are
/// absolute. What the trainer fills in stays out: it stands elsewhere in the job. Given again to `train`, it
/// is the same job. PluginError when a plugin is missing.
void resolve_components(Job& job, Registry& registry);

/// A section of a component as it stands in a resolved job: `name` under `key`, then the keys with their
/// defaults. `trainer_fills`: keys that are left out.
struct ComponentSection {
  const char* kind;
  const char* key;
  std::string name;
  std::vector<std::string> trainer_fills;
};
Config resolved_section(Registry& registry, const ComponentSection& section, const Config& given);

}  // namespace caravan::jobs
