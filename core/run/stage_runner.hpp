#pragma once

#include <span>
#include <vector>

#include "caravan/schedule.hpp"
#include "core/run/stage.hpp"
#include "core/run/stage_walks.hpp"

namespace caravan {

/// One micro-batch in host memory. Borrowed for the length of a step.
struct MicroBatch {
  std::span<const std::int32_t> tokens;     ///< [B·S]
  std::span<const std::int32_t> labels;     ///< [B·S], kIgnoredLabel where there is none
  std::span<const std::int32_t> documents;  ///< [B·L] of whole sequences, or empty
  TokenMap token_map;                       ///< which tokens of the data these are
  TensorView logits;                        ///< on the device: where to put them, or empty (see Run::logits)
  DecodeRows rows;                          ///< decode: on the device, instead of all above but logits
};

/// Labels that are not ignored.
std::int64_t count_valid(std::span<const MicroBatch> batches);

/// What is the same for all micro-batches of a step.
struct StepScales {
  std::uint64_t seed = 0;    ///< of this optimizer step
  float gradient_scale = 1;  ///< 1 / valid tokens of all ranks
  float sequence_scale = 1;  ///< 1 / sequences of all ranks
};

/// Sums over the micro-batches of a step, on the device.
struct StepSums {
  TensorView loss;      ///< [1] f64
  TensorView balance;   ///< [1] f64
  TensorView overflow;  ///< [1] f64 rows that had no room at their experts
  TensorView dropped;   ///< [1] f64 choices beyond their experts' capacity
  /// Takes them from `arena`, each on a line of its own.
  explicit StepSums(Arena& arena);
  static constexpr std::size_t kBytes = 4 * Arena::kAlignment;
};

/// Walks one stage over the micro-batches in the sets of its stash. Owns the inputs' device copies.
class StageRunner {
 public:
  /// Borrows everything. `groups`: of parameters that ranks divide; null where all are whole.
  StageRunner(Device& device, Stage& stage, Stash& stash, const StepSums& sums,
              const StageGroups* groups = nullptr);

  Stage& stage() noexcept { return stage_; }
  Stash& stash() noexcept { return stash_; }
  /// Puts a micro-batch into a set, for the walks that follow on it.
  void load(const MicroBatch& batch, int set, const StepScales& scales, Pass pass);
  /// A walk of F (also R), I, W or B over the micro-batch in `set`.
  Cursor cursor(ActionKind kind, int set, WalkObserver* observer);

  /// Device bytes of the inputs of `sets` micro-batches.
  static std::size_t input_bytes(const BatchShape& shape, int sets);

 private:
  /// The device's copy of one micro-batch.
  struct Inputs {
    TensorView tokens, labels, documents;
  };
  TensorView copy(std::span<const std::int32_t> from, TensorView to);

  Device& device_;
  Stage& stage_;
  Stash& stash_;
  Arena memory_;
  std::vector<Inputs> inputs_;  // one a set
  std::vector<Run> runs_;       // one a set
  StageWalks walks_;
};

}  // namespace caravan
