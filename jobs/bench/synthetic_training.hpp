#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "jobs/plan/train_setup.hpp"
#include "jobs/train/training_steps.hpp"

namespace caravan::jobs {

/// A model on random tokens, for measuring.
struct SyntheticJob {
  Config model;
  std::string device = "auto", precision = "auto";
  std::int64_t sequence_length = 0;                ///< 0: the model's `positions`
  std::int64_t local_batch = 1, microbatches = 1;  ///< of a data rank
  std::string recompute = "none";                  ///< of a job file, as YAML
  std::vector<std::string> parallel;               ///< "key=value" of the section
};

/// The job file that it stands for.
Config job_tree(const SyntheticJob& job);

/// Runs the steps of a training, without reports and checkpoints, and times them. Takes the memory of a
/// training run.
class SyntheticTraining {
 public:
  /// [collective]
  SyntheticTraining(Job job, Communicator& world);

  /// [collective] One more step; seconds of the slowest rank since the last call. A GPU is given the step
  /// after before this one is read, as in training.
  double step();
  /// [collective] So many steps from the first to the end of the last.
  void run(int steps);
  /// Of the last step() that was read.
  const StepResult& last() const noexcept { return last_result_; }
  TrainSetup& setup() noexcept { return setup_; }
  Executor& executor() noexcept { return steps_.step().executor(); }

 private:
  void post();

  Communicator& world_;
  TrainSetup setup_;
  Made<DataSource> data_;
  TrainingSteps steps_;
  std::int64_t posted_ = 0;
  StepResult last_result_;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace caravan::jobs
