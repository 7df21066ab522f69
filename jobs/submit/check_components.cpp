#include "jobs/submit/check_components.hpp"

#include <fmt/format.h>

#include "caravan/registry.hpp"
#include "caravan/schema.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

void check(Registry& registry, const char* kind, const std::string& name, const Config& keys) {
  const caravan_component& component = *registry.find(kind, name).component;
  validate(keys, ParamSchema(component.params, component.num_params), fmt::format("{} {}", kind, name));
}

}  // namespace

void check_components(const Job& job) {
  const auto registry = make_registry();
  Config data = job.data;
  data.set("sequence_length", std::to_string(job.train.sequence_length));  // the trainer fills these in
  if (!data.has("seed")) data.set("seed", std::to_string(job.seed));
  check(*registry, "model", job.model_plugin, job.model);
  check(*registry, "data", job.data_source, data);
  check(*registry, "optimizer", job.optimizer_name, job.optimizer);
  check(*registry, "schedule", job.parallel.schedule, job.parallel.schedule_options);
}

}  // namespace caravan::jobs
