#include "jobs/job/sample_rule.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {
namespace {

/// Each has a slot of the cache.
constexpr std::size_t kMostPrompts = 1024;

/// A prompt alone needs no list.
Config as_prompts(const Config& node) {
  if (node.kind() != Config::Kind::scalar) return node;
  Config list = Config::list();
  list.append(node);
  return list;
}

}  // namespace

Config resolve_samples(const Config& node) {
  if (node.is_null()) return node;
  Config map = node.kind() == Config::Kind::map ? node : node.emptied();
  if (node.kind() != Config::Kind::map) map.set("prompts", node);
  if (map.has("prompts")) map.set("prompts", as_prompts(map.at("prompts")));
  Config resolved = validate(map, kSampleParams, "validation.samples");
  const std::vector<std::string> prompts = resolved.at("prompts").as_string_list();
  CARAVAN_CHECK(!prompts.empty() && prompts.size() <= kMostPrompts, ConfigError,
                fmt::format("{}: validation.samples.prompts has {} prompts (1 to {}). Leave samples out for "
                            "none?",
                            node.where(), prompts.size(), kMostPrompts));
  for (const std::string& prompt : prompts)
    CARAVAN_CHECK(!prompt.empty(), ConfigError,
                  fmt::format("{}: validation.samples.prompts has an empty prompt (there is nothing to "
                              "continue). Its first words?",
                              node.where()));
  return resolved;
}

SampleRule read_samples(const Config& resolved) {
  if (resolved.is_null()) return {};
  SampleRule rule{.prompts = resolved.at("prompts").as_string_list(),
                  .max_new_tokens = resolved.get_int("max_new_tokens"),
                  .temperature = resolved.get_float("temperature"),
                  .every = {}};
  if (const Config& every = resolved.find("every"); !every.is_null()) rule.every = every.as_int();
  return rule;
}

}  // namespace caravan::jobs
