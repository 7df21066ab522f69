#include "jobs/plan/job_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "caravan/check.hpp"
#include "caravan/low_rank.hpp"

namespace caravan::jobs {

void check_contradictions(const Job& job) {
  CARAVAN_CHECK(
      job.checkpoint.enabled || !job.checkpoint.create_seed, ConfigError,
      "checkpoint.create_seed with checkpoint.enabled=false (a seed is a checkpoint). Leave one out?");
  CARAVAN_CHECK(job.checkpoint.enabled || !job.checkpoint.exported.is_converted(), ConfigError,
                "checkpoint.export with a format and checkpoint.enabled=false (it is made of the last "
                "checkpoint). checkpoint.export=fp32?");
  CARAVAN_CHECK(
      job.metrics.timeline_step <= job.train.steps, ConfigError,
      fmt::format("metrics.timeline_step={} with train.steps={} (it is never reached). An earlier step?",
                  job.metrics.timeline_step, job.train.steps));
}

void check_lora(const Job& job, const ParameterStore& parameters, const ParameterStore::RuleOf& rule_of) {
  const std::optional<LowRankRule> lora = read_low_rank(job.model.find("lora"));
  if (!lora) return;
  check_adapters(*lora, parameters);
  const auto& all = parameters.parameters();
  CARAVAN_CHECK(
      std::any_of(all.begin(), all.end(), [&](const auto& each) { return !rule_of(each->spec()).frozen; }),
      ConfigError,
      "optimizer.groups freezes every adapter of model.lora (there is nothing to learn). Leave a "
      "group out?");
}

}  // namespace caravan::jobs
