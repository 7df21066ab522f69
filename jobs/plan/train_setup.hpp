#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "caravan/data.hpp"
#include "caravan/mesh.hpp"
#include "caravan/metrics.hpp"
#include "caravan/optimizer.hpp"
#include "caravan/schedule.hpp"
#include "core/mesh/paper_world.hpp"
#include "core/run/train_step.hpp"
#include "jobs/identity/same_run.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/layout.hpp"
#include "jobs/plan/memory_plan.hpp"
#include "jobs/plan/optimizer_division.hpp"
#include "jobs/plan/pipeline_setup.hpp"
#include "jobs/plan/recompute_choice.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/plan/table_sums.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_instance.hpp"
#include "jobs/state/rank_state.hpp"

namespace caravan::jobs {

/// Makes the device that a job's ranks compute on, or what stands for it.
using MakeDevice = std::function<Made<Device>(Registry&, const Job&)>;
/// The job's device on this machine.
Made<Device> device_of_job(Registry& registry, const Job& job);

/// Everything of a training job that can be decided, checked and described before memory is taken. Borrows
/// the world.
class TrainSetup {
 public:
  /// [collective] ConfigError and PluginError before anything is allocated, also when ranks have other jobs
  /// or plugins.
  TrainSetup(Job job, Communicator& world);
  /// The same for one rank of ranks that are not running. Nothing is measured: a budget for activations is
  /// checked, and planned as if everything were repeated.
  TrainSetup(Job job, PaperWorld& world, const MakeDevice& device);

  /// Resolved to the last key.
  const Job& job() const noexcept { return job_; }
  Registry& registry() noexcept { return *registry_; }
  /// The ranks as the job's degrees have them.
  const MeshLayout& layout() const noexcept { return layout_; }
  const OptimizerDivision& optimizer_division() const noexcept { return division_; }
  /// The same ranks by what they keep: replicas that divide the optimizer are shards.
  Mesh& mesh() noexcept { return *mesh_; }
  /// All ranks of the job.
  Communicator& world() noexcept { return world_; }
  /// Ranks that hold other tokens.
  RankGroup token_ranks() { return mesh_->group(MeshAxis::loss); }
  /// Ranks that keep other stretches of the same parameters.
  RankGroup shards() { return mesh_->group(MeshAxis::fsdp); }
  RankGroup pipeline_ranks() { return mesh_->group(MeshAxis::pp); }
  Device& device() noexcept { return *device_; }
  /// Of activations and the weights that operators read.
  DType compute() const noexcept { return compute_; }
  /// The stages of this rank.
  ModelInstance& model() noexcept { return model_; }
  /// All layers, for counting: never allocated.
  ModelInstance& whole_model() noexcept { return whole_model_; }
  /// The stages of another pipeline rank, for their names and shapes.
  std::unique_ptr<ModelInstance> stages_of_rank(int rank) { return stages_of_rank(rank, *device_, *mesh_); }
  /// The same, to be allocated on `device`; exchanges go over `mesh`.
  std::unique_ptr<ModelInstance> stages_of_rank(int rank, Device& device, Mesh& mesh);
  Optimizer& optimizer() noexcept { return *optimizer_; }
  const std::vector<std::string>& slots() const noexcept { return slots_; }
  /// The run as one that goes on from a checkpoint. Borrows `identity`.
  GoingOn going_on(const RunIdentity& identity) { return {job_, *registry_, layout_, identity}; }
  /// What this rank keeps from step to step.
  RankState state();
  const BatchShape& shape() const noexcept { return shape_; }
  const BatchShare& share() const noexcept { return share_; }
  const PipelineSetup& pipeline() const noexcept { return pipeline_; }
  /// How gradients of tables are summed over the ranks that hold other tokens.
  const std::vector<TableSum>& table_sums() const noexcept { return table_sums_; }
  /// Measured where a budget for activations chooses what is kept.
  const std::optional<SectionCosts>& section_costs() const noexcept { return section_costs_; }
  MemoryPlan memory();
  /// What it would be with other micro-batches and another recomputation.
  MemoryPlan memory(std::int64_t local_batch, const RecomputeRule& rule);
  /// What a TrainStep is made of, on activations in `memory`. The model must be allocated. `whereabouts` is
  /// told what the step does.
  TrainStep::Parts step_parts(StageMemory& memory, GradientReducer& reducer,
                              Whereabouts* whereabouts = nullptr);
  /// In the order of the job's metrics.sinks.
  const std::vector<Made<Metrics>>& metrics() const noexcept { return metrics_; }
  /// Of a job that asks for the length of the learning-rate schedule that it goes on with: that is so many
  /// steps. The resolved job says it from now on.
  void keep_schedule(std::int64_t steps) { jobs::keep_schedule(job_, steps); }
  /// FLOPs of a step of all ranks, forward and backward, without recomputation.
  double step_flops();

  /// `differences`: keys that override the data section, e.g. for validation.
  Made<DataSource> open_data(const Config& differences);

 private:
  /// Ranks on paper exchange nothing: they are not compared, and no costs are measured.
  enum class Ranks { running, on_paper };
  TrainSetup(Job job, Communicator& world, const MakeDevice& device, Ranks ranks);
  static Job prepare(Job job, Registry& registry, Communicator& world, Ranks ranks);
  OptimizerDivision divide_optimizer();
  /// What groups of the job and the optimizer say of a parameter.
  ParameterStore::RuleOf rules() const;
  void choose_recomputation(Ranks ranks);
  /// ConfigError where parameters of any pipeline rank cannot be divided as the job asks: all ranks refuse.
  void check_experts();
  void check_optimizer();
  bool has_adapters() const { return !job_.model.find("lora").is_null(); }
  void check_shards();
  void check_export();
  StageChoice stages_on(int rank) const;
  ComputeOn on_device() const { return {device_.get(), compute_, mesh_.get(), {}, {}, rules()}; }
  ComputeOn in_shards(Device& device, Mesh& mesh) const {
    return {&device, compute_, &mesh, pipeline_.rooms, summed_by_rows(table_sums_), rules()};
  }
  MemoryDemand memory_demand(const RankPlan& training, const BatchShape& shape);
  /// What an optimizer that sees whole matrices works in.
  std::size_t matrix_bytes();

  std::unique_ptr<Registry> registry_;
  Job job_;
  std::vector<Made<Metrics>> metrics_;
  Communicator& world_;
  Made<Device> device_;
  DType compute_;
  Made<Optimizer> optimizer_;
  std::vector<std::string> slots_;
  MeshLayout layout_;
  OptimizerDivision division_;
  std::unique_ptr<Mesh> mesh_;
  ModelInstance whole_model_;
  BatchShape shape_;
  BatchShare share_;
  PipelineSetup pipeline_;
  std::vector<TableSum> table_sums_;
  ModelInstance model_;
  std::optional<SectionCosts> section_costs_;
};

/// [collective] The text of --dry-run: job, layout, plan, operators, memory, parameters.
std::string describe(TrainSetup& setup);

}  // namespace caravan::jobs
