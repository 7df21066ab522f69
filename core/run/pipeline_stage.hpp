#pragma once

#include <optional>
#include <span>

#include "core/plan/places.hpp"
#include "core/run/boundary.hpp"
#include "core/run/stage_runner.hpp"

namespace caravan {

/// One stage of this rank with the memory for its activations. Borrowed.
struct LocalStage {
  Stage& stage;
  Stash& stash;
  StageGroups* groups = nullptr;  ///< of parameters that ranks divide; null where all are whole
};

/// A stage of this rank in a running plan: which set and which places each micro-batch takes, and its
/// messages with the stages before and after it.
class PipelineStage {
 public:
  struct Neighbours {
    Communicator& group;  ///< of the pipeline's ranks
    int before, after;    ///< ranks that hold the stages before and after
  };
  PipelineStage(Device& device, const LocalStage& local, const StepSums& sums, const StagePlaces& places,
                const Neighbours& neighbours);

  Stage& stage() noexcept { return runner_.stage(); }
  /// Waits for what the action reads from other ranks.
  void wait_for_inputs(const Action& action);
  /// The walk of an F, R, I, W or B; none for an F that is left to its R. Loads the micro-batch where the
  /// walk is its first in a set.
  std::optional<Cursor> begin(const Action& action, std::span<const MicroBatch> batches,
                              const StepScales& scales, WalkObserver* observer);
  /// SEND and RECV: posts, and returns at once.
  void communicate(const Action& action);
  /// Lets a message advance.
  void progress();
  void finish_sends();

  TensorView output(int microbatch) const;          ///< [T, H] after F
  TensorView input_gradient(int microbatch) const;  ///< [T, H] after I or B
  TensorView input_place(int microbatch) const;     ///< where a stage on this rank puts the input
  TensorView gradient_place(int microbatch) const;

 private:
  std::optional<Cursor> begin_forward(const Action& action, std::span<const MicroBatch> batches,
                                      const StepScales& scales, WalkObserver* observer);

  StageRunner runner_;
  Stash& stash_;
  StagePlaces places_;
  Neighbours neighbours_;
  Inbox inputs_, gradients_;
  Outbox outputs_, input_gradients_;
};

}  // namespace caravan
