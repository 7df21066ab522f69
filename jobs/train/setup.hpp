#pragma once

#include <memory>
#include <vector>

#include "caravan/data.hpp"
#include "caravan/optimizer.hpp"
#include "caravan/schedule.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/model_instance.hpp"
#include "jobs/train/batches.hpp"
#include "jobs/train/memory_plan.hpp"
#include "parallel/process_mesh.hpp"

namespace caravan::jobs {

/// Everything of a training job that can be decided, checked and described before memory is taken. Borrows
/// the world.
class TrainSetup {
 public:
  /// [collective] ConfigError and PluginError before anything is allocated.
  TrainSetup(Job job, Communicator& world);

  const Job& job() const noexcept { return job_; }
  Registry& registry() noexcept { return *registry_; }
  parallel::ProcessMesh& mesh() noexcept { return mesh_; }
  Communicator& data_ranks() { return mesh_.communicator(parallel::MeshAxis::batch); }
  Device& device() noexcept { return *device_; }
  ModelInstance& model() noexcept { return model_; }
  Optimizer& optimizer() noexcept { return *optimizer_; }
  const std::vector<std::string>& slots() const noexcept { return slots_; }
  const BatchShape& shape() const noexcept { return shape_; }
  const BatchShare& share() const noexcept { return share_; }
  /// This rank's row of the plan, and the micro-batches that are kept at once.
  const std::vector<Step>& row() const noexcept { return row_; }
  int in_flight() const noexcept { return in_flight_; }
  MemoryPlan memory();
  /// FLOPs of a step of all ranks, forward and backward, without recomputation.
  double step_flops();

  /// `differences`: keys that override the data section, e.g. for validation.
  Made<DataSource> open_data(const Config& differences);

 private:
  BatchShare divide_batch();

  Job job_;
  Communicator& world_;
  parallel::ProcessMesh mesh_;
  std::unique_ptr<Registry> registry_;
  Made<Device> device_;
  ModelInstance model_;
  Made<Optimizer> optimizer_;
  std::vector<std::string> slots_;
  BatchShape shape_;
  BatchShare share_;
  std::vector<Step> row_;
  int in_flight_ = 1;
};

/// The text of --dry-run: job, layout, plan, memory, parameters.
std::string describe(TrainSetup& setup);

}  // namespace caravan::jobs
