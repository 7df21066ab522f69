#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "caravan/metrics.hpp"
#include "core/run/train_step.hpp"
#include "io/metrics/step_line.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/state/train_state.hpp"
#include "jobs/train/metric_sinks.hpp"
#include "jobs/train/pipeline_peers.hpp"
#include "jobs/train/rank_maxima.hpp"
#include "jobs/train/sampler.hpp"

namespace caravan::jobs {

/// What one step has to tell.
struct StepReport {
  Progress progress;
  StepResult result;
  double lr = 0;
  double seconds = 0;          ///< of the whole step, data included, validation and saving not
  double data_seconds = 0;     ///< of it: waiting for data
  double elapsed_seconds = 0;  ///< since this start's first step began, validation and saving included
  std::optional<double> validation_loss;
  std::vector<SampleText> samples{};
};

/// What a start before was kept from, of the step that it ended with.
struct MadeUp {
  std::optional<double> validation_loss;
  std::vector<SampleText> samples{};
};

/// Tells people and the job's sinks how a run goes: a step line every train.log_every steps, a record of
/// every step. On rank 0; elsewhere it does nothing.
class Reporter {
 public:
  /// Borrows all.
  Reporter(TrainSetup& setup, PipelinePeers& peers, const DataSource& data, int rank);
  /// Opens the sinks, which drop records after `progress` that a run which died has left, and prints the
  /// run's header. `made_up`: what the record of progress.step lacks; it is written once more, with it.
  void start(const Progress& progress, const MadeUp& made_up);
  /// [every rank]
  void write(const StepReport& report, const TrainStep& step);
  /// Before a checkpoint of what was reported.
  void flush();
  /// Hands on what sinks hold back, and says what the run has taken of its data.
  void finish(const Progress& progress);

 private:
  std::string json_lines() const { return setup_.job().output + "/metrics.jsonl"; }
  void open_sinks(std::int64_t first_step);
  void print_header(const Progress& progress);
  void say_use(std::int64_t step, std::int64_t samples) const;
  void write_texts(const std::vector<SampleText>& texts, std::int64_t step);
  void fill(const StepReport& report, const RankMaxima& maxima);
  void add_passes(std::int64_t samples);
  void add_routing(const StepResult& result, const RankMaxima& maxima);
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
  std::optional<MetricSinks> sinks_;
  std::unique_ptr<io::StepLine> line_;
};

}  // namespace caravan::jobs
