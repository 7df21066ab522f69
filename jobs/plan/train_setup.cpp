#include "jobs/plan/train_setup.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/low_rank.hpp"
#include "jobs/convert/expressible.hpp"
#include "jobs/identity/agree.hpp"
#include "jobs/identity/job_changes.hpp"
#include "jobs/job/place.hpp"
#include "jobs/job/resolve_components.hpp"
#include "jobs/outputs.hpp"
#include "jobs/plan/clipped_layers.hpp"
#include "jobs/plan/job_checks.hpp"
#include "jobs/plan/row_exchanges.hpp"
#include "jobs/plan/samples.hpp"
#include "jobs/plan/stretches.hpp"
#include "jobs/plan/tensor_rows.hpp"
#include "jobs/state/checkpoint_share.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {
namespace {

std::unique_ptr<Mesh> make_mesh(const MeshLayout& layout, Communicator& world, Device& device,
                                bool is_running) {
  return is_running ? parallel::make_process_mesh(world, layout, device)
                    : make_paper_mesh(layout, world.rank());
}

/// What -1 stands for depends on the number of ranks.
void resolve_batch(Config& resolved, std::int64_t sequences) {
  Config train = resolved.at("train");
  train.set("global_batch_size", std::to_string(sequences));
  resolved.set("train", std::move(train));
}

}  // namespace

/// Ranks are compared before the first of them takes memory or makes a group that the others do not expect.
Job TrainSetup::prepare(Job job, Registry& registry, Communicator& world, Ranks ranks) {
  resolve_components(job, registry);
  check_allowed(job.checkpoint.allow_changes, job.resolved);
  check_contradictions(job);
  if (ranks == Ranks::running) agree_on_job(world, job.resolved);
  check_run_output(job.output);
  return job;
}

Made<Device> device_of_job(Registry& registry, const Job& job) {
  return choose_device(registry, job.device, job.device_options);
}

TrainSetup::TrainSetup(Job job, Communicator& world)
    : TrainSetup(std::move(job), world, device_of_job, Ranks::running) {}

TrainSetup::TrainSetup(Job job, PaperWorld& world, const MakeDevice& device)
    : TrainSetup(std::move(job), world, device, Ranks::on_paper) {}

TrainSetup::TrainSetup(Job job, Communicator& world, const MakeDevice& device, Ranks ranks)
    : registry_(make_registry()),
      job_(prepare(std::move(job), *registry_, world, ranks)),
      metrics_(make_metrics(*registry_, job_.metrics)),
      world_(world),
      device_(at_place(place_of(job_.resolved, {"device"}), [&] { return device(*registry_, job_); })),
      compute_(at_place(place_of(job_.resolved, {"train", "precision"}),
                        [&] { return choose_precision(*device_, job_.train.precision); })),
      optimizer_(at_place(place_of(job_.resolved, {"optimizer", "name"}),
                          [&] {
                            return registry_->create<Optimizer>(
                                job_.optimizer_name, Host::of(*registry_, device_.get()), job_.optimizer);
                          })),
      slots_(optimizer_->slots()),
      layout_(mesh_layout(job_, world.size())),
      division_(divide_optimizer()),
      mesh_(make_mesh(layout_of_keepers(layout_, division_), world, *device_, ranks == Ranks::running)),
      whole_model_(at_place(place_of(job_.resolved, {"model", "plugin"}),
                            [&] {
                              return ModelInstance(*registry_, on_device(), job_.model_plugin, job_.model,
                                                   job_.train.sequence_length);
                            })),
      shape_(BatchShape{job_.train.local_batch_size, job_.train.sequence_length, Phase::train, {}, compute_}
                 .divided_over(mesh_.get())),
      share_(divide_batch(job_, layout_, world.rank())),
      pipeline_(plan_pipeline(*registry_, job_, *mesh_, {share_.microbatches(), division_}, whole_model_)),
      table_sums_(jobs::table_sums(whole_model_.parameters(), *mesh_, shape_, share_.microbatches())),
      model_(*registry_, in_shards(*device_, *mesh_), job_.model_plugin, job_.model,
             job_.train.sequence_length, stages_on(mesh_->coordinate(MeshAxis::pp))) {
  check_samples(job_, layout_);
  check_tensor_rows(shape_, share_, "parallel.tensor");
  check_experts();
  check_optimizer();
  check_shards();
  check_export();
  resolve_batch(job_.resolved, share_.global_batch);
  if (ranks == Ranks::running) agree_on_plugins(*registry_, world);
  choose_recomputation(ranks);
}

ParameterStore::RuleOf TrainSetup::rules() const {
  return [this](const ParameterSpec& spec) {
    UpdateRule rule = job_.optimizer_groups.rule_of(spec);
    if (has_adapters() && !is_adapter(spec.name)) rule = {.frozen = true, .as_base = true};
    rule.by_matrix = !rule.frozen && optimizer_->takes_matrices(spec);
    rule.slots = 0;
    for (std::size_t slot = 0; slot < slots_.size(); ++slot)
      if (optimizer_->keeps(slot, spec)) rule.slots |= std::uint32_t{1} << slot;
    return rule;
  };
}

/// On paper, as if replicas divided the optimizer.
OptimizerDivision TrainSetup::divide_optimizer() {
  const auto mesh = make_paper_mesh(layout_of_keepers(layout_, {.by_replicas = true}), world_.rank());
  std::optional<ModelInstance> whole;
  if (layout_.degree(MeshAxis::dp_replicate) > 1)
    at_place(place_of(job_.resolved, {"model", "plugin"}), [&] {
      whole.emplace(*registry_, ComputeOn{device_.get(), compute_, mesh.get(), RoomRule{}, {}, rules()},
                    job_.model_plugin, job_.model, job_.train.sequence_length);
    });
  return at_place(place_of(job_.resolved, {"parallel"}), [&] {
    return jobs::divide_optimizer(job_, layout_, *optimizer_, whole ? &*whole : nullptr);
  });
}

void TrainSetup::check_experts() {
  const int ranks = mesh_->degree(MeshAxis::ep);
  CARAVAN_CHECK(ranks == 1 || whole_model_.parameters().count(ParameterKind::expert) > 0, ConfigError,
                fmt::format("parallel.expert={} with a model without experts (there is nothing that it would "
                            "divide). parallel.expert=1?",
                            ranks));
}

void TrainSetup::check_export() {
  const ExportRule& rule = job_.checkpoint.exported;
  if (!rule.is_converted()) return;
  at_place(place_of(job_.resolved, {"checkpoint", "export"}), [&] {
    const ParamSchema keys = schema_of(*registry_, "model", job_.model_plugin);
    Config model = with_defaults(job_.model, keys);
    model.erase("lora");  // merged
    check_expressible(rule, model, whole_model_.parameters());
  });
}

/// A rank keeps a stretch of each parameter, or a slice.
void TrainSetup::check_optimizer() {
  constexpr std::size_t kMostSlots = 32;
  CARAVAN_CHECK(slots_.size() <= kMostSlots, ConfigError,
                fmt::format("optimizer.name={} with {} slots (at most {}). Another optimizer?",
                            job_.optimizer_name, slots_.size(), kMostSlots));
  job_.optimizer_groups.check(whole_model_.parameters());
  at_place(place_of(job_.resolved, {"model", "lora"}),
           [&] { check_lora(job_, whole_model_.parameters(), rules()); });
  at_place(place_of(job_.resolved, {"optimizer"}),
           [&] { check_clip(*optimizer_, whole_model_.parameters(), pipeline_.shared); });
  const int shards = std::max(mesh_->degree(MeshAxis::fsdp), mesh_->degree(MeshAxis::efsdp));
  CARAVAN_CHECK(
      optimizer_->is_elementwise() || shape_.tensor_ranks == 1, ConfigError,
      fmt::format("optimizer.name={} with parallel.tensor={} (its rule needs whole parameters, and a "
                  "rank keeps a slice of each). parallel.data_replicate instead of tensor?",
                  job_.optimizer_name, shape_.tensor_ranks));
  CARAVAN_CHECK(
      optimizer_->is_elementwise() || !pipeline_.rooms, ConfigError,
      fmt::format(
          "optimizer.name={} with {} shards (its rule needs whole parameters, and a rank keeps a stretch "
          "of each). parallel.data_replicate instead of {}?",
          job_.optimizer_name, shards,
          mesh_->degree(MeshAxis::cp) > 1 ? "data_shard x context" : "data_shard"));
}

void TrainSetup::check_shards() {
  const int shards = mesh_->degree(MeshAxis::fsdp);
  if (shards == 1) return;
  const std::string all = mesh_->degree(MeshAxis::cp) > 1 ? "data_shard x context" : "data_shard",
                    keys = division_.by_replicas ? "data_replicate x " + all : all,
                    remedy = division_.by_replicas ? "parallel.divide_optimizer=false" : "";
  const int mine = mesh_->coordinate(MeshAxis::pp);
  for (int rank = 0; rank < mesh_->degree(MeshAxis::pp); ++rank)
    check_stretches(rank == mine ? model_.parameters() : stages_of_rank(rank)->parameters(), shards,
                    "parallel." + keys, remedy);
}

void TrainSetup::choose_recomputation(Ranks ranks) {
  const RecomputeRule& rule = job_.train.recompute;
  CARAVAN_CHECK(
      rule.kind != RecomputeRule::Kind::budget || shape_.tensor_ranks == 1, ConfigError,
      fmt::format(
          "train.recompute.budget={} with parallel.tensor={} (ranks that have other widths would choose "
          "otherwise, and what repeated exchanges cost is not measured). full or selective?",
          rule.budget, shape_.tensor_ranks));
  if (rule.kind == RecomputeRule::Kind::budget && ranks == Ranks::running)
    section_costs_.emplace(*registry_, *device_, whole_model_, shape_.of_largest_rank(), world_);
  pipeline_.training.recompute =
      choose_recompute(rule, {model_, pipeline_.training, shape_.of_largest_rank()}, whole_model_,
                       section_costs_ ? &*section_costs_ : nullptr);
}

StageChoice TrainSetup::stages_on(int rank) const {
  return {static_cast<int>(pipeline_.layers.size()), job_.parallel.split, pipeline_.training.stages(rank)};
}

std::unique_ptr<ModelInstance> TrainSetup::stages_of_rank(int rank, Device& device, Mesh& mesh) {
  return std::make_unique<ModelInstance>(*registry_, in_shards(device, mesh), job_.model_plugin, job_.model,
                                         job_.train.sequence_length, stages_on(rank));
}

MemoryPlan TrainSetup::memory() {
  return plan_memory(model_, memory_demand(pipeline_.training, shape_));
}

MemoryPlan TrainSetup::memory(std::int64_t local_batch, const RecomputeRule& rule) {
  BatchShape shape = shape_;
  shape.sequences = local_batch;
  RankPlan plan = pipeline_.training;
  plan.recompute = choose_recompute(rule, {model_, plan, shape.of_largest_rank()}, whole_model_, nullptr);
  return plan_memory(model_, memory_demand(plan, shape));
}

MemoryDemand TrainSetup::memory_demand(const RankPlan& training, const BatchShape& shape) {
  const RankPlan* validation = job_.validation.is_wanted() ? &pipeline_.validation : nullptr;
  return {.training = training,
          .validation = validation,
          .shape = shape,
          .optimizer_slots = slots_.size(),
          .whole_matrices = matrix_bytes(),
          .samples = sample_bytes(job_, *device_, model_),
          .data_ranks = share_.data_ranks,
          .row_sums = largest_row_exchange(model_, shape, device_->memory()),
          .snapshot = job_.checkpoint.enabled && job_.checkpoint.async ? snapshot_bytes(state()) : 0,
          .memory = device_->memory(),
          .has_own_exchanges = !device_->exchange_path().empty()};
}

std::size_t TrainSetup::matrix_bytes() {
  return sizeof(float) *
         static_cast<std::size_t>(MatrixUpdates::work_elements(model_.parameters(), *optimizer_));
}

RankState TrainSetup::state() {
  return {.device = *device_,
          .parameters = model_.parameters(),
          .mesh = *mesh_,
          .slots = slots_,
          .left_out = not_owned(pipeline_.shared, mesh_->coordinate(MeshAxis::pp))};
}

TrainStep::Parts TrainSetup::step_parts(StageMemory& memory, GradientReducer& reducer,
                                        Whereabouts* whereabouts) {
  return {
      .device = *device_,
      .plan = pipeline_.training,
      .stages = memory.stages(),
      .parameters = model_.parameters(),
      .optimizer = *optimizer_,
      .tokens = token_ranks(),
      .rows = mesh_->group(MeshAxis::rows),
      .shards = shards(),
      .tensor = mesh_->group(MeshAxis::tp),
      .pipeline = pipeline_ranks(),
      .reducer = mesh_->degree(MeshAxis::dp_replicate) > 1 ? &reducer : nullptr,
      .shared = pipeline_.shared,
      .sharded = model_.sharded(),
      .repeated = model_.repeated(),
      .whereabouts = whereabouts,
      .experts = mesh_->degree(MeshAxis::ep) > 1 ? std::optional(mesh_->group(MeshAxis::ep)) : std::nullopt,
      .mesh = mesh_.get()};
}

double TrainSetup::step_flops() {
  BatchShape whole = shape_;
  whole.sequences = share_.global_batch;
  whole.length = shape_.sequence_length();
  return 3 * whole_model_.stage().forward_flops(whole);
}

Made<DataSource> TrainSetup::open_data(const Config& differences) {
  const Config& source = differences.find("source");
  const std::string name = source.is_null() ? job_.data_source : source.as_string();
  Config data = name == job_.data_source ? job_.data : Config::map();  // another source has other keys
  data.merge(differences);
  data.erase("source");
  data.set("sequence_length", std::to_string(job_.train.sequence_length));
  if (!data.has("seed")) data.set("seed", std::to_string(job_.seed));
  auto opened = at_place(source.is_null() ? place_of(job_.resolved, {"data", "source"}) : source, [&] {
    return registry_->create<DataSource>(name, Host::of(*registry_, device_.get()), data);
  });
  CARAVAN_CHECK(
      opened->vocab_size() <= whole_model_.stage().vocab_size(), ConfigError,
      fmt::format("the data has token ids up to {} (the model's vocab_size is {}). Set model.vocab_size, or "
                  "prepare the data with this model's tokenizer?",
                  opened->vocab_size() - 1, whole_model_.stage().vocab_size()));
  return opened;
}

}  // namespace caravan::jobs
