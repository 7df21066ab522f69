#pragma once

#include <memory>
#include <span>
#include <vector>

#include "caravan/optimizer.hpp"
#include "core/run/executor.hpp"
#include "core/run/rank_group.hpp"
#include "core/run/shared_parameters.hpp"

namespace caravan {

/// What a step did, equal on every rank.
struct StepResult {
  double loss = 0;          ///< mean token loss over the valid tokens of the step
  double balance_loss = 0;  ///< load-balance loss, coefficient included
  double grad_norm = 0;     ///< before clipping, every parameter once
  std::int64_t valid_tokens = 0;
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
    RankGroup data;            ///< ranks that hold other samples
    RankGroup pipeline;        ///< ranks that hold other stages
    GradientReducer* reducer;  ///< over `data.tensors`; null for one rank
    std::vector<SharedParameter> shared{};
  };
  explicit TrainStep(Parts parts);

  struct Settings {
    std::int64_t step = 1;  ///< 1-based
    double lr = 0;
    double max_norm = 0;     ///< 0: no clipping
    std::uint64_t seed = 0;  ///< of the run
    std::int64_t global_sequences = 1;
  };
  /// [collective over data and pipeline] NumericalError, with nothing updated, when loss or norm is not
  /// finite.
  StepResult run(std::span<const MicroBatch> batches, const Settings& settings);
  /// Rows of each expert in the last step over all data ranks, one list for each layer with experts on this
  /// rank.
  const std::vector<std::vector<float>>& expert_counts() const noexcept { return expert_counts_; }
  Executor& executor() noexcept { return executor_; }

 private:
  void collect(StepResult& result);
  void check_finite(const StepResult& result, const Settings& settings,
                    std::span<const MicroBatch> batches) const;
  void update(const StepResult& result, const Settings& settings);
  void balance();
  void zero_counters();
  double read(TensorView scalar);

  /// [collective] Sums host values over every rank that holds other samples or stages.
  void sum_over_ranks(TensorView values);

  Parts parts_;
  Executor executor_;
  SharedParameters shared_;
  Arena memory_;
  TensorView squares_, clip_;
  std::vector<Buffer*> counters_;
  std::vector<std::vector<float>> expert_counts_;
};

/// The seed of one optimizer step, from the run's seed: equal on all ranks, different for every step.
std::uint64_t step_seed(std::uint64_t seed, std::int64_t step);

}  // namespace caravan
