#include "jobs/train/setup.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

parallel::MeshDegrees degrees(const Job::Parallel& parallel) {
  const std::pair<const char*, std::int64_t> later[] = {{"data_shard", parallel.data_shard},
                                                        {"pipeline", parallel.pipeline},
                                                        {"context", parallel.context},
                                                        {"tensor", parallel.tensor}};
  for (const auto& [key, degree] : later) {
    CARAVAN_CHECK(
        degree == 1, ConfigError,
        fmt::format("parallel.{}={} (this version trains replicated data parallel only). Set it to 1, and "
                    "parallel.data_replicate to the number of ranks?",
                    key, degree));
  }
  parallel::MeshDegrees mesh;
  mesh.dp_replicate = static_cast<int>(parallel.data_replicate);
  return mesh;
}

Host host_of(Registry& registry, Device* device) {
  Host host;
  host.registry = &registry;
  host.device = device;
  return host;
}

/// How many micro-batches have been forwarded and not yet backwarded, at most.
int most_in_flight(const std::vector<Step>& row) {
  int now = 0, most = 1;
  for (const Step& step : row) {
    if (step.action.kind == ActionKind::forward) most = std::max(most, ++now);
    if (step.action.kind == ActionKind::backward) --now;
  }
  return most;
}

}  // namespace

TrainSetup::TrainSetup(Job job, Communicator& world)
    : job_(std::move(job)),
      world_(world),
      mesh_(world, degrees(job_.parallel)),
      registry_(make_registry()),
      device_(choose_device(*registry_, job_.device)),
      model_(*registry_, device_.get(), job_.model_plugin, job_.model, job_.train.sequence_length),
      optimizer_(registry_->create<Optimizer>(job_.optimizer_name, host_of(*registry_, device_.get()),
                                              job_.optimizer)),
      slots_(optimizer_->slots()),
      shape_{job_.train.local_batch_size, job_.train.sequence_length, Phase::train, 0},
      share_(divide_batch()) {
  const auto schedule =
      registry_->create<Schedule>(job_.parallel.schedule, host_of(*registry_, device_.get()), Config::map());
  Plan plan = schedule->build({1, static_cast<int>(share_.microbatches()), 1});
  row_ = std::move(plan.steps.front());
  in_flight_ = most_in_flight(row_);
}

BatchShare TrainSetup::divide_batch() {
  BatchShare share;
  share.local_batch = job_.train.local_batch_size;
  share.data_ranks = mesh_.degree(parallel::MeshAxis::batch);
  share.data_rank = mesh_.coordinate(parallel::MeshAxis::batch);
  const std::int64_t smallest = share.local_batch * share.data_ranks;
  share.global_batch = job_.train.global_batch_size < 0 ? smallest : job_.train.global_batch_size;
  CARAVAN_CHECK(
      share.global_batch > 0 && share.global_batch % smallest == 0, ConfigError,
      fmt::format(
          "train.global_batch_size={} (must be a multiple of local_batch_size={} x {} data ranks = {})",
          share.global_batch, share.local_batch, share.data_ranks, smallest));
  return share;
}

MemoryPlan TrainSetup::memory() {
  return plan_memory(model_, {shape_, in_flight_, share_.microbatches(), slots_.size(), share_.data_ranks,
                              job_.validation.batches > 0});
}

double TrainSetup::step_flops() {
  BatchShape whole = shape_;
  whole.sequences = share_.global_batch;
  return 3 * model_.stage().forward_flops(whole);
}

Made<DataSource> TrainSetup::open_data(const Config& differences) {
  const Config& source = differences.find("source");
  const std::string name = source.is_null() ? job_.data_source : source.as_string();
  Config data = name == job_.data_source ? job_.data : Config::map();  // another source has other keys
  data.merge(differences);
  data.erase("source");
  data.set("sequence_length", std::to_string(job_.train.sequence_length));
  if (!data.has("seed")) data.set("seed", std::to_string(job_.seed));
  auto opened = registry_->create<DataSource>(name, host_of(*registry_, device_.get()), data);
  CARAVAN_CHECK(
      opened->vocab_size() <= model_.stage().vocab_size(), ConfigError,
      fmt::format("the data has token ids up to {} (the model's vocab_size is {}). Set model.vocab_size, or "
                  "prepare the data with this model's tokenizer?",
                  opened->vocab_size() - 1, model_.stage().vocab_size()));
  return opened;
}

std::string describe(TrainSetup& setup) {
  const BatchShare& share = setup.share();
  std::string text = "# resolved job\n" + setup.job().resolved.to_yaml();
  text += fmt::format("\n# layout\n  {} ranks: {}\n  device: {}\n", setup.mesh().layout().ranks(),
                      setup.mesh().layout().describe(), setup.device().description());
  text += fmt::format(
      "  a step: {} sequences of {} tokens, {} a micro-batch, {} micro-batches a rank, {:.3g} TFLOP\n",
      share.global_batch, setup.shape().length, share.local_batch, share.microbatches(),
      setup.step_flops() * 1e-12);
  text += "\n# plan of rank 0\n ";
  const std::size_t shown = std::min<std::size_t>(setup.row().size(), 24);
  for (std::size_t index = 0; index < shown; ++index) text += " " + to_string(setup.row()[index].action);
  if (shown < setup.row().size()) text += fmt::format(" ... ({} actions)", setup.row().size());
  text += "\n\n# memory\n" + setup.memory().describe();
  return text + "\n# parameters\n  " + describe_parameters(setup.model().parameters()) + "\n";
}

}  // namespace caravan::jobs
