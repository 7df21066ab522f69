#include "jobs/job/fork_rule.hpp"

#include "caravan/schema.hpp"
#include "jobs/job/schema.hpp"

namespace caravan::jobs {

Config resolve_fork(const Config& node) {
  if (node.is_null()) return node;
  if (node.kind() == Config::Kind::map) return validate(node, kForkParams, "checkpoint.from");
  Config map = node.emptied();
  map.set("run", node);
  return validate(map, kForkParams, "checkpoint.from");
}

ForkRule read_fork(const Config& resolved) {
  if (resolved.is_null()) return {};
  ForkRule rule{
      .run = resolved.get_string("run"), .step = {}, .model_alone = resolved.get_string("what") == "model"};
  if (const Config& step = resolved.find("step"); !step.is_null()) rule.step = step.as_int();
  return rule;
}

}  // namespace caravan::jobs
