#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "caravan/metrics.hpp"
#include "core/run/train_step.hpp"
#include "io/metrics/step_line.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/state/train_state.hpp"
#include "jobs/train/pipeline_peers.hpp"

namespace caravan::jobs {

/// What one step has to tell.
struct StepReport {
  Progress progress;
  StepResult result;
  double lr = 0;
  double seconds = 0;       ///< of the whole step, data included, validation and saving not
  double data_seconds = 0;  ///< of it: waiting for data
  std::optional<double> validation_loss;
};

/// Tells people and files how a run goes: a step line every train.log_every steps, metrics.jsonl and
/// TensorBoard events for every step. On rank 0; elsewhere it does nothing.
class Reporter {
 public:
  /// Borrows all.
  Reporter(TrainSetup& setup, PipelinePeers& peers, const DataSource& data, int rank);
  /// Opens the files, dropping records after `progress` that a run which died has left, and prints the run's
  /// header. `made_up`: the validation loss that the record of progress.step lacks; it is written once more,
  /// with it.
  void start(const Progress& progress, std::optional<double> made_up);
  /// [collective over the pipeline that holds rank 0, when metrics.expert_counts]
  void write(const StepReport& report, const TrainStep& step);
  /// Says what the run has taken of its data.
  void finish(const Progress& progress) const;

 private:
  std::string json_lines() const { return setup_.job().output + "/metrics.jsonl"; }
  void open_files(std::int64_t first_step);
  void print_header(const Progress& progress);
  void say_use(std::int64_t step, std::int64_t samples) const;
  void write_record();
  void fill(const StepReport& report);
  void add_passes(std::int64_t samples);
  void add_routing(const StepResult& result);
  void add_experts(const TrainStep& step);
  void add(const Buffer& buffer, int rank, const TensorView& mine);

  TrainSetup& setup_;
  PipelinePeers& peers_;
  const DataSource& data_;
  bool active_;
  bool drops_;  ///< the model's experts have a capacity
  StepRecord record_;
  std::vector<float> room_;
  std::int64_t first_step_ = 1;
  std::vector<std::unique_ptr<MetricSink>> files_;
  std::unique_ptr<io::StepLine> line_;
};

}  // namespace caravan::jobs
