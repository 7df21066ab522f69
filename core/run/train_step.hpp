#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "caravan/mesh.hpp"
#include "caravan/optimizer.hpp"
#include "core/run/executor.hpp"
#include "core/run/logit_clip.hpp"
#include "core/run/matrix_updates.hpp"
#include "core/run/shared_parameters.hpp"
#include "core/run/whereabouts.hpp"

namespace caravan {

/// What a step did, equal on every rank.
struct StepResult {
  double loss = 0;          ///< mean token loss over the valid tokens of the step
  double balance_loss = 0;  ///< load-balance loss, coefficient included
  double grad_norm = 0;     ///< before clipping, every parameter once
  std::int64_t valid_tokens = 0;
  double dropped = 0;  ///< choices of experts beyond their capacity, of all layers
  double chosen = 0;   ///< all choices of experts, dropped ones too
  /// Where experts are divided among ranks: rows that the rank which receives most receives, and that it
  /// sends, those to its own experts included; of all its layers, as routers chose, before drops. Else 0.
  double rows_sent = 0, most_rows_received = 0;
  double even_rows = 0;  ///< that each rank of its group would receive of even routing
  /// The largest logit of attention where the optimizer clips them; of layers that it clips.
  std::optional<double> max_logit{};
};

/// One optimizer step over one rank's row of a plan: forward and backward of all micro-batches, reduction
/// over the data ranks, norm, clip, update, balancing. loss and gradient = Σ token losses / valid tokens of
/// all ranks; no other division.
class TrainStep {
 public:
  struct Parts {
    Device& device;
    RankPlan plan;
    std::vector<LocalStage> stages;  ///< of this rank, ascending
    ParameterStore& parameters;
    Optimizer& optimizer;
    RankGroup tokens;          ///< ranks that hold other tokens
    RankGroup rows;            ///< ranks that hold other rows, of tokens that may be the same
    RankGroup shards;          ///< ranks that hold other stretches of the same parameters
    RankGroup tensor;          ///< ranks that hold other slices of the same parameters
    RankGroup pipeline;        ///< ranks that hold other stages
    GradientReducer* reducer;  ///< over ranks that keep the same fragments; null where there are no others
    std::vector<SharedParameter> shared{};
    ShardedParameters* sharded = nullptr;  ///< of parameters that ranks divide; null where all are whole
    /// Sums gradients over tensor ranks; null where there are none, or `sharded` does.
    RepeatedGradients* repeated = nullptr;
    Whereabouts* whereabouts = nullptr;  ///< told what the step does; null: nobody watches
    std::optional<RankGroup> experts{};  ///< ranks that divide the experts; none where each has all
    Mesh* mesh = nullptr;                ///< of who keeps parameters; null: one rank
  };
  explicit TrainStep(Parts parts);
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  struct Settings {
    std::int64_t step = 1;  ///< 1-based
    double lr = 0;
    double max_norm = 0;     ///< 0: no clipping
    std::uint64_t seed = 0;  ///< of the run
    std::int64_t global_sequences = 1;
  };
  /// Steps that may be posted before the result of the first is taken: a GPU then never waits for the host.
  static constexpr std::size_t kMostPosted = 2;

  /// [collective over all ranks] Hands a whole step to the device, update included. What the device
  /// finds to be not finite it does not apply, nor any later step, until result() has told.
  void post(std::span<const MicroBatch> batches, const Settings& settings);
  std::size_t posted() const noexcept { return posted_; }
  /// [collective over all ranks] What the oldest posted step did; waits for it. NumericalError, with
  /// nothing updated, when loss or norm is not finite; later steps that are posted come to nothing.
  StepResult result();
  /// Both.
  StepResult run(std::span<const MicroBatch> batches, const Settings& settings) {
    post(batches, settings);
    return result();
  }
  /// Rows of each expert in the step of the last result over all data ranks, one list for each layer with
  /// experts on this rank.
  const std::vector<std::vector<float>>& expert_counts() const noexcept {
    return steps_[oldest_ ^ 1].expert_counts;
  }
  Executor& executor() noexcept { return executor_; }

 private:
  /// What the host keeps of a posted step; the device fills it in.
  struct Posted {
    Settings settings;
    std::int64_t valid_tokens = 0, first_sample = 0;
    double loss_sum = 0, balance_loss = 0, squares = 0, overflow = 0, dropped = 0;
    std::vector<std::vector<float>> own_counts;     ///< of this rank's tokens; where ranks divide experts
    std::vector<std::vector<float>> expert_counts;  ///< of all data ranks
    std::vector<float> largest_logits;              ///< of all data and tensor ranks
    Event done;
  };

  void walk(std::span<const MicroBatch> batches, const Posted& step);
  void update(const Posted& step);
  void balance(Posted& step);
  void read_back(Posted& step);
  /// [collective] Over all stages.
  void add_logits(StepResult& result, const Posted& step);
  double largest_of_ranks(double value);
  double choices_of(const Posted& step) const;
  struct RowsOfExperts {
    double received = 0, sent = 0, even = 0;
  };
  RowsOfExperts rows_of(const Posted& step);
  void add_rows(StepResult& result, const Posted& step);
  void check_finite(const StepResult& result, const Posted& step);
  void start_clip();
  void clip_logits();
  void order_updates();
  OptimizerStep step_of(const Posted& step, const UpdateGroup& group) const;
  void transform_matrices(const Posted& step);
  void zero_counters();

  /// [collective] Sums host values over every rank that holds other rows or stages.
  void sum_over_ranks(TensorView values);

  Parts parts_;
  Executor executor_;
  Arena memory_;
  TensorView squares_, clip_;
  std::optional<SharedParameters> shared_;
  std::vector<UpdateGroup> updates_;
  std::optional<MatrixUpdates> matrices_;    ///< none where the optimizer takes none
  std::optional<LogitClip> logits_;          ///< none where the optimizer clips none
  GroupExchange* first_gathered_ = nullptr;  ///< by the next step; null: nothing
  std::size_t updates_before_gather_ = 0;    ///< the first of updates_
  std::vector<Buffer*> counters_;
  std::vector<Parameter*> parameters_;  ///< all
  std::array<Posted, kMostPosted> steps_;
  std::size_t oldest_ = 0, posted_ = 0;
};

/// What to say where so many rows did not fit into a dispatcher's memory, see Dispatcher.
std::string without_room(double rows);

/// The seed of one optimizer step, from the run's seed: equal on all ranks, different for every step.
std::uint64_t step_seed(std::uint64_t seed, std::int64_t step);

}  // namespace caravan
