#pragma once

#include <span>
#include <unordered_map>
#include <vector>

#include "caravan/gradient_reducer.hpp"
#include "caravan/schedule.hpp"
#include "core/run/stage.hpp"
#include "core/run/walk.hpp"

namespace caravan {

/// One micro-batch in host memory. Borrowed for the length of a step.
struct MicroBatch {
  std::span<const std::int32_t> tokens;     ///< [B·S]
  std::span<const std::int32_t> labels;     ///< [B·S], kIgnoredLabel where there is none
  std::span<const std::int32_t> documents;  ///< [B·S], or empty
  std::int64_t first_sample = 0;            ///< global index of its first sequence
  std::int64_t first_position = 0;          ///< decode: position of its first token
  TensorView logits;                        ///< on the device: where to put them, or empty (see Run::logits)
};

/// What is the same for all micro-batches of a step.
struct StepScales {
  std::uint64_t seed = 0;    ///< of this optimizer step
  float gradient_scale = 1;  ///< 1 / valid tokens of all ranks
  float sequence_scale = 1;  ///< 1 / sequences of all ranks
};

/// Sums over the micro-batches of a step, on the device.
struct StepSums {
  TensorView loss;     ///< [1] f64
  TensorView balance;  ///< [1] f64
};

/// Runs one rank's row of a plan on one stage. Owns the inputs' device copies; borrows the rest.
class Executor {
 public:
  Executor(Device& device, Stage& stage, Stash& stash);

  /// Every step of `row` in order. Gradients of a parameter are announced to `reducer` as soon as the last
  /// backward that touches them is over; null: nobody to reduce with.
  void run(std::span<const Step> row, std::span<const MicroBatch> batches, const StepScales& scales,
           GradientReducer* reducer);
  /// One forward outside training; sums are added to.
  void forward(const MicroBatch& batch);

  const StepSums& sums() const noexcept { return sums_; }
  void zero_sums();

 private:
  /// The device's copy of one micro-batch.
  struct Inputs {
    TensorView tokens, labels, documents;
  };
  void take_inputs(int sets);
  Run& load(const MicroBatch& batch, int set, const StepScales& scales);
  void act(const Action& action, std::span<const MicroBatch> batches, const StepScales& scales);
  void walk(const Walk& walk, int set);
  /// The layer's gradients are final: announces each parameter that no other layer will touch.
  void announce(const Layer& layer);
  void start_announcing(GradientReducer* reducer);

  Device& device_;
  Stage& stage_;
  Stash& stash_;
  Arena memory_;
  StepSums sums_;
  std::vector<Inputs> inputs_;  // one a set
  std::vector<Run> runs_;       // one a set
  Walk forward_, backward_, backward_input_, backward_weight_;
  GradientReducer* reducer_ = nullptr;                   // set during the last backward of a step
  std::unordered_map<const Parameter*, int> uses_left_;  // by layers, during the last backward
};

}  // namespace caravan
