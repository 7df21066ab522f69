#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>

#include "jobs/identity/run_identity.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/state/checkpoint_saver.hpp"
#include "jobs/state/train_state.hpp"
#include "jobs/train/pipeline_peers.hpp"
#include "jobs/train/reporter.hpp"
#include "jobs/train/sampler.hpp"
#include "jobs/train/timeline_recorder.hpp"
#include "jobs/train/training_steps.hpp"
#include "jobs/train/validator.hpp"
#include "jobs/watch/stop_request.hpp"

namespace caravan::jobs {

/// A training run on this rank: takes the memory, restores or initialises, and steps to the end. [every rank]
class Trainer {
 public:
  /// Borrows all. Tells `whereabouts` where it is, for whoever watches.
  Trainer(TrainSetup& setup, Communicator& world, const StopRequest& stop, Whereabouts& whereabouts);
  /// Trains until job.train.steps, validating, reporting and saving on the way, after a validation that the
  /// start before was kept from; leaves earlier, saved, when a
  /// rank was asked to stop. success, requeue, or no_progress where a run that may not save had to leave.
  /// IoError when the state with which it ends is not on the disk.
  ExitCode run();

 private:
  CheckpointTarget with_identity(CheckpointTarget target) const;
  /// Hands the next step to the device.
  void post_step();
  /// How many posted steps may stay unread: one runs while the next is being posted, unless somebody wants to
  /// look at the model between them.
  std::size_t lead() const;
  /// Reads and reports the oldest posted step.
  void finish_step();
  /// [every rank] The same on all ranks; once true it stays so.
  bool is_asked_to_stop();
  bool is_last_step() const { return progress_.step >= setup_.job().train.steps; }
  /// Left undone by whoever saved the state; nobody makes it up without validation data.
  bool owes_validation() const { return progress_.owes_validation && validator_; }
  bool is_done() const { return is_last_step() && !owes_validation(); }
  /// [every rank] The loss; nothing, and the step owes it, when a signal asks to leave before its end.
  std::optional<double> validate();
  /// [every rank] The texts of the step; none when a signal asks to leave, which is said.
  std::vector<SampleText> write_samples();
  /// Whether the job wants texts of this step, where a validation was or was not.
  bool samples_due(bool validated) const;
  /// Before the first step. Nothing when a signal asks to leave again.
  MadeUp make_up_validation();
  void save_when_due();
  void train();
  ExitCode save_seed();
  bool exports() const { return setup_.job().checkpoint.exported.is_wanted(); }
  void export_weights();
  ExitCode finish_former();
  ExitCode leave() const;

  Made<DataSource> source_;  // opened and compared before memory is taken
  RunIdentity identity_;
  TrainSetup& setup_;
  Communicator& world_;
  const StopRequest& stop_;
  int stopped_by_ = 0;  // signal
  Whereabouts& whereabouts_;
  Progress progress_;
  TrainingSteps steps_;
  std::unique_ptr<io::RunLock> lock_;  // on rank 0; nothing is made before the job has proved sound
  CheckpointSaver saver_;
  PipelinePeers peers_;
  std::optional<Validator> validator_;
  std::optional<Sampler> sampler_;
  Reporter reporter_;
  TimelineRecorder timeline_;
  std::deque<StepReport> posted_;  // without results
  std::chrono::steady_clock::time_point last_finish_, begin_;
};

}  // namespace caravan::jobs
