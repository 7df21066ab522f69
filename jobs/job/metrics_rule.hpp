#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "caravan/config.hpp"
#include "caravan/metrics.hpp"
#include "caravan/registry.hpp"

namespace caravan::jobs {

/// What records a run.
struct MetricsRule {
  struct Sink {
    std::string name;
    std::int64_t every = 1;  ///< steps; a run's first and last and those with a validation loss besides
    Config keys;             ///< of the component
  };
  std::vector<Sink> sinks;
  bool expert_counts = false;
  std::int64_t timeline_step = 0;

  bool has(std::string_view name) const;
};

/// A job, or its section `metrics`, in which a list of sinks stands in place of the section's keys: with the
/// keys. Everything else stays as it is.
Config with_metrics_keys(Config job);

/// The section with its defaults: `sinks` as a list of maps, from which the keys `jsonl` and `tensorboard`
/// have taken or to which they have added theirs. ConfigError as `validate`, and for a sink that stands
/// twice.
Config resolve_metrics(const Config& section);
MetricsRule read_metrics(const Config& resolved);

/// The components, in order. ConfigError as their constructors, PluginError where there is none.
std::vector<Made<Metrics>> make_metrics(Registry& registry, const MetricsRule& rule);

/// The list of sinks with the defaults of their components.
Config resolved_sinks(Registry& registry, const MetricsRule& rule);

}  // namespace caravan::jobs
