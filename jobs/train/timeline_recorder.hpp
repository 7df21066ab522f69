#pragma once

#include "core/plan/simulate.hpp"
#include "jobs/plan/train_setup.hpp"
#include "jobs/schedule/step_details.hpp"

namespace caravan::jobs {

/// The steps of all ranks of this rank's pipeline, and when they ran.
struct MeasuredStep {
  Plan plan;  ///< lowered
  Timeline timeline;
  std::vector<StepDetails> details;  ///< of each pipeline rank
};

/// What every pipeline rank would run, lowered: the rows that spans belong to.
Plan lowered_plan(const TrainSetup& setup);

/// [collective over the pipeline] The last step that `executor` measured, whole on the first pipeline rank;
/// elsewhere without spans. The ranks' clocks start when their steps do: start steps together.
Timeline gather_timeline(const Plan& lowered, const Executor& executor, Communicator& pipeline);

/// [collective over the pipeline] What it did within and beside its actions: one entry a pipeline rank on the
/// first, none elsewhere.
std::vector<StepDetails> gather_details(const RunRecorder& recorder, Communicator& pipeline);

/// Times one chosen step of a run and writes it beside the plan's simulation with the costs that were
/// measured: <output>/timeline-<step>.{svg,json} and plan-<step>.svg.
class TimelineRecorder {
 public:
  explicit TimelineRecorder(TrainSetup& setup) : setup_(setup) {}
  /// [collective over the pipeline when it is the chosen step] Before and after each step.
  void before(std::int64_t step, Executor& executor);
  void after(std::int64_t step, Executor& executor);

 private:
  bool is_chosen(std::int64_t step) const { return step == setup_.job().metrics.timeline_step; }
  void write(std::int64_t step, const MeasuredStep& measured);

  TrainSetup& setup_;
};

}  // namespace caravan::jobs
