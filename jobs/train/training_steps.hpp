#pragma once

#include <span>

#include "core/run/train_step.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/train/batches.hpp"
#include "parallel/bucketed_reducer.hpp"

namespace caravan::jobs {

/// Optimizer steps on this rank, from a step's samples to its result: what training and its benchmarks are
/// made of.
class TrainingSteps {
 public:
  /// Takes the memory of a training run, the model's included, whose weights others fill. Borrows all;
  /// `whereabouts` may be null. DeviceError where it does not fit.
  TrainingSteps(TrainSetup& setup, DataSource& source, Whereabouts* whereabouts = nullptr);

  /// This rank's micro-batches of the step that begins at sample `first`; valid until the next call.
  std::span<const MicroBatch> read(std::int64_t first) { return reader_.read(first); }
  /// [collective over data and pipeline] Hands step `number` to the device, with the job's learning rate and
  /// clipping.
  void post(std::span<const MicroBatch> batches, std::int64_t number);
  /// How many posted steps may stay unread where nobody looks at the model between them: on a device with
  /// memory of its own one runs while the next is being posted.
  std::size_t lead() const { return setup_.device().memory() == Memory::host ? 0 : 1; }
  /// What was posted, and its results.
  TrainStep& step() noexcept { return step_; }

 private:
  TrainSetup& setup_;
  BatchReader reader_;
  parallel::BucketedReducer reducer_;
  StageMemory memory_;
  TrainStep step_;
};

}  // namespace caravan::jobs
