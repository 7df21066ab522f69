#include "jobs/check/check_component.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "caravan/check.hpp"

namespace caravan::jobs {

void check_component(Registry& registry, const std::string& kind, const std::string& name, const Config& keys,
                     Findings& findings) {
  registry.find(kind, name);
  if (kind == "data") return check_data(registry, name, keys, findings);
  if (kind == "layer") return check_layer(registry, name, keys, findings);
  if (kind == "metrics") return check_metrics(registry, name, keys, findings);
  if (kind == "optimizer") return check_optimizer(registry, name, keys, findings);
  if (kind == "schedule") return check_schedule(registry, name, keys, findings);
  throw ConfigError(fmt::format("no check for the kind '{}' (there is one for {}). Train with it?", kind,
                                fmt::join(kCheckedKinds, ", ")));
}

}  // namespace caravan::jobs
