#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/plan/lower.hpp"
#include "core/run/gradient_announcer.hpp"
#include "core/run/pipeline_stage.hpp"
#include "core/run/run_recorder.hpp"
#include "core/run/whereabouts.hpp"

namespace caravan {

/// Runs one rank's row of a plan: every step in order, messages under way meanwhile.
class Executor {
 public:
  /// A whole model on this rank; rows come with each run. `groups`: of parameters that ranks divide, which
  /// then walk together; null where all are whole.
  Executor(Device& device, Stage& stage, Stash& stash, StageGroups* groups = nullptr);
  /// The stages of this rank in ascending order; `pipeline` is the group of the plan's ranks. `whereabouts`
  /// is told each action and segment; null: nobody watches.
  Executor(Device& device, RankPlan plan, std::vector<LocalStage> stages, Communicator& pipeline,
           Whereabouts* whereabouts = nullptr);
  Executor(const Executor&) = delete;  // its members refer to it

  /// Every step of the plan's row. Gradients of a parameter are announced to `reducer` as soon as the last
  /// backward that touches them is over; null: nobody to reduce with. Micro-batches of the plan that
  /// `batches` lacks are left out, on all ranks alike (the last few of an evaluation).
  void run(std::span<const MicroBatch> batches, const StepScales& scales, GradientReducer* reducer);
  /// A row for a whole model on this rank.
  void run(std::span<const Step> row, std::span<const MicroBatch> batches, const StepScales& scales,
           GradientReducer* reducer);
  /// One forward of a whole model outside training; sums are added to.
  void forward(const MicroBatch& batch);

  const StepSums& sums() const noexcept { return sums_; }
  void zero_sums();

  /// Measuring waits for the device: around every action of the plan, or around every visit of a segment too.
  enum class Timing { off, actions, visits };
  void measure(Timing timing);
  /// Seconds since the start of the last measured run, for each step of the row: when its inputs were there,
  /// and when it was over.
  const std::vector<Span>& spans() const noexcept { return spans_; }
  /// Visits and exchanges of the last run whose visits were measured; exchanges that a plan placed are over
  /// when the step's gradients are.
  const RunRecorder& recorder() const noexcept { return recorder_; }
  const RankPlan& plan() const noexcept { return plan_; }

 private:
  /// Lets messages advance between the segments of a walk, and announces gradients.
  class Observer final : public WalkObserver {
   public:
    Observer(Executor& executor, const LocalStage& local) : executor_(executor), local_(local) {}
    void starts(const Visit& visit) override;
    void visited(const Visit& visit) override;
    void posted(const Visit& visit) override;
    void arrived(const Visit& visit) override;
    /// What goes forward in the walk to come is F, or R.
    void begins(ActionKind kind) {
      forward_ = kind == ActionKind::recompute ? ActionKind::recompute : ActionKind::forward;
    }
    /// Whether the walk to come is the last of the stage that adds to weight gradients. In it a layer's
    /// gradients are final, and announced, when its last visit is over.
    void expect_final_gradients(bool expected);

   private:
    bool is_recorded(const Visit& visit) const;

    Executor& executor_;
    LocalStage local_;
    bool final_gradients_ = false;
    ActionKind forward_ = ActionKind::forward;
    std::map<const Visit*, std::size_t> recorded_;  ///< exchanges under way, as the recorder numbers them
  };
  struct Member {
    PipelineStage stage;
    Observer observer;
    StageGroups* groups;                   ///< or null
    std::ptrdiff_t last_weight_step = -1;  ///< index in the row
  };
  /// What all actions of a run share.
  struct Current {
    std::span<const MicroBatch> batches;
    StepScales scales;
  };

  void take(RankPlan plan);
  void find_last_weight_steps();
  Member* member(int stage);
  bool is_left_out(const Action& action) const;
  void run_step(std::size_t index);
  /// UNSHARD, RESHARD, REDUCE_GRAD.
  void exchange(const Action& action);
  void walk(const Step& step, std::size_t index);
  std::optional<Cursor> begin(const Action& action, std::size_t index);
  void pass_on(const Action& action);
  double clock();

  Device& device_;
  std::vector<LocalStage> stages_;
  std::unique_ptr<Communicator> alone_;  ///< where there is no pipeline
  Communicator& pipeline_;
  Arena memory_;
  StepSums sums_;
  RankPlan plan_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<const Layer*> layers_;  ///< of all members
  GradientAnnouncer announcer_;
  Whereabouts* whereabouts_ = nullptr;
  Current now_;
  Timing timing_ = Timing::off;
  RunRecorder recorder_;
  std::vector<Span> spans_;
};

}  // namespace caravan
