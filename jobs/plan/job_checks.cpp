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
  CARAVAN_CHECK(
      job.checkpoint.enabled || !job.checkpoint.exported.is_converted(), ConfigError,
      job.checkpoint.exported.merges
          ? "checkpoint.export with model.lora and checkpoint.enabled=false (adapters are merged when "
            "the last checkpoint is converted). Leave one out?"
          : "checkpoint.export with a format and checkpoint.enabled=false (it is made of the last "
            "checkpoint). checkpoint.export=fp32?");
  CARAVAN_CHECK(
      job.metrics.timeline_step <= job.train.steps, ConfigError,
      fmt::format("metrics.timeline_step={} with train.steps={} (it is never reached). An earlier step?",
                  job.metrics.timeline_step, job.train.steps));
}

namespace {

/// Of a group that trains otherwise than the rest, or nothing.
std::string idle_group(const OptimizerGroups& groups, std::size_t index, const ParameterStore& whole_model) {
  if (groups.groups()[index].rule.frozen) return "";
  const auto& all = whole_model.parameters();
  const bool trains = std::any_of(all.begin(), all.end(), [&](const auto& each) {
    return groups.group_of(each->spec()) == index && each->is_trained();
  });
  return trains ? ""
                : fmt::format(
                      "optimizer.groups: all that {} fits is frozen by model.lora (the group has no "
                      "effect)",
                      groups.groups()[index].name());
}

/// The first matrix whose adapter has a larger rank than the matrix may have.
std::string idle_rank(const LowRankRule& lora, const ParameterStore& whole_model) {
  for (const auto& parameter : whole_model.parameters())
    for (std::size_t part = 0; part < parameter->spec().parts.size(); ++part) {
      const std::string& name = parameter->spec().parts[part].name;
      const Shape shape = parameter->part_shape(part);
      if (is_adapter(name) || !lora.fits(name) || shape.rank() < 2) continue;
      const std::int64_t inputs = shape[shape.rank() - 1], outputs = shape[shape.rank() - 2];
      if (lora.rank <= std::min(inputs, outputs)) continue;
      return fmt::format(
          "model.lora.rank={} is more than {} can have (it is {} x {}): adapters have more "
          "numbers there and learn no more",
          lora.rank, name, outputs, inputs);
    }
  return "";
}

}  // namespace

std::vector<std::string> idle_keys(const Job& job, const ParameterStore& whole_model) {
  const std::optional<LowRankRule> lora = read_low_rank(job.model.find("lora"));
  if (!lora) return {};
  std::vector<std::string> said{idle_rank(*lora, whole_model)};
  for (std::size_t index = 0; index < job.optimizer_groups.groups().size(); ++index)
    said.push_back(idle_group(job.optimizer_groups, index, whole_model));
  std::erase(said, "");
  return said;
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
