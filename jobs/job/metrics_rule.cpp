#include "jobs/job/metrics_rule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/place.hpp"
#include "jobs/job/resolve_components.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

bool names(const Config& sink, std::string_view name) {
  return sink.find("name").as_string() == name;
}

/// A name alone is a sink without keys.
Config as_map(const Config& sink) {
  if (sink.kind() == Config::Kind::map) return sink;
  Config map = sink.emptied();
  map.set("name", sink);
  return map;
}

/// Name and `every` are checked here, the other keys by the component.
Config checked_sink(const Config& given) {
  Config own = given.emptied();
  for (const caravan_param& param : kSinkParams)
    if (given.has(param.name)) own.set(param.name, given.at(param.name));
  Config sink = validate(own, kSinkParams, "metrics.sinks");
  for (const auto& [key, value] : given.entries())
    if (!sink.has(key)) sink.set(key, value);
  return sink;
}

/// A sink alone needs no list.
Config with_sink_list(const Config& section) {
  Config out = section.is_null() ? section.emptied() : section;
  const Config given = out.find("sinks");
  if (given.kind() != Config::Kind::scalar && given.kind() != Config::Kind::map) return out;
  Config one = Config::list();
  one.append(given);
  out.set("sinks", one);
  return out;
}

/// What `jsonl: true` and `tensorboard: false` say.
Config with_switch(const Config& section, const Config& sinks, const char* name) {
  const Config& given = section.find(name);
  if (given.is_null()) return sinks;
  const bool wanted = given.as_bool();
  Config list = Config::list();
  for (const Config& sink : sinks.items())
    if (wanted || !names(sink, name)) list.append(sink);
  const bool is_there =
      std::ranges::any_of(sinks.items(), [&](const Config& sink) { return names(sink, name); });
  if (wanted && !is_there) {
    Config sink = given.emptied();
    sink.set("name", name);
    list.append(checked_sink(sink));
  }
  return list;
}

void refuse_repeated(const Config& sinks) {
  std::set<std::string> seen;
  for (const Config& sink : sinks.items())
    CARAVAN_CHECK(seen.insert(sink.get_string("name")).second, ConfigError,
                  fmt::format("{}: metrics.sinks names {} twice (both would write the same files). Once?",
                              sink.where(), sink.get_string("name")));
}

}  // namespace

bool MetricsRule::has(std::string_view name) const {
  return std::ranges::any_of(sinks, [&](const Sink& sink) { return sink.name == name; });
}

Config with_metrics_keys(Config job) {
  const Config given = job.find("metrics");
  if (given.kind() != Config::Kind::list && given.kind() != Config::Kind::scalar) return job;
  Config section = given.emptied();
  section.set("sinks", given);
  job.set("metrics", std::move(section));
  return job;
}

Config resolve_metrics(const Config& section) {
  Config resolved = validate(with_sink_list(section), kMetricsParams, "section metrics");
  Config sinks = Config::list();
  for (const Config& sink : resolved.at("sinks").items()) sinks.append(checked_sink(as_map(sink)));
  for (const char* name : {"jsonl", "tensorboard"}) {
    sinks = with_switch(resolved, sinks, name);
    resolved.erase(name);
  }
  refuse_repeated(sinks);
  resolved.set("sinks", sinks);
  return resolved;
}

MetricsRule read_metrics(const Config& resolved) {
  MetricsRule rule;
  for (const Config& sink : resolved.at("sinks").items()) {
    Config keys = sink;
    for (const caravan_param& param : kSinkParams) keys.erase(param.name);
    rule.sinks.push_back({sink.get_string("name"), sink.get_int("every"), keys});
  }
  rule.expert_counts = resolved.get_bool("expert_counts");
  rule.timeline_step = resolved.get_int("timeline_step");
  return rule;
}

std::vector<Made<Metrics>> make_metrics(Registry& registry, const MetricsRule& rule) {
  std::vector<Made<Metrics>> made;
  for (const MetricsRule::Sink& sink : rule.sinks)
    made.push_back(at_place(
        sink.keys, [&] { return registry.create<Metrics>(sink.name, Host::of(registry), sink.keys); }));
  return made;
}

Config resolved_sinks(Registry& registry, const MetricsRule& rule) {
  Config list = Config::list();
  for (const MetricsRule::Sink& sink : rule.sinks) {
    Config one = at_place(sink.keys, [&] {
      refuse_misspelled(sink.keys, kSinkParams, schema_of(registry, "metrics", sink.name), "metrics.sinks");
      return resolved_section(registry, {"metrics", "name", sink.name, {}}, sink.keys);
    });
    Config with_every = one.emptied();
    with_every.set("name", one.at("name"));
    with_every.set("every", std::to_string(sink.every));
    with_every.merge(one);
    list.append(with_every);
  }
  return list;
}

}  // namespace caravan::jobs
