#pragma once

#include <string>

#include "caravan/registry.hpp"
#include "jobs/check/findings.hpp"

namespace caravan::jobs {

/// Kinds that have a check.
inline constexpr const char* kCheckedKinds[] = {"data", "layer", "metrics", "optimizer", "schedule"};

/// Holds a component to what its interface promises; `keys`: of its own table, checked by it. ConfigError for
/// a kind without a check or keys that it refuses; what it throws later is a finding.
void check_component(Registry& registry, const std::string& kind, const std::string& name, const Config& keys,
                     Findings& findings);

void check_data(Registry& registry, const std::string& name, const Config& keys, Findings& findings);
void check_layer(Registry& registry, const std::string& name, const Config& keys, Findings& findings);
void check_metrics(Registry& registry, const std::string& name, const Config& keys, Findings& findings);
void check_optimizer(Registry& registry, const std::string& name, const Config& keys, Findings& findings);
void check_schedule(Registry& registry, const std::string& name, const Config& keys, Findings& findings);

}  // namespace caravan::jobs
