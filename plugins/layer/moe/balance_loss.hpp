#pragma once

#include "plugins/layer/moe/whole_sequences.hpp"

namespace caravan::moe {

/// The load-balance loss of a layer and its gradient. It is of whole sequences: ranks that route parts of
/// them gather logits, and add to the gradient of their own. Of those that route the same rows, as of those,
/// the first one counts; the gradient of the same rows is made by it alone, as theirs are summed.
class BalanceLoss {
 public:
  /// Borrows `sequences`. `repeats`: tensor ranks route the same rows. `coefficient` 0: there is none, and
  /// nothing below does anything.
  BalanceLoss(const WholeSequences& sequences, bool repeats, float coefficient, std::int64_t experts)
      : sequences_(sequences), repeats_(repeats), coefficient_(coefficient), experts_(experts) {}

  bool is_wanted(Phase phase) const noexcept { return coefficient_ > 0 && phase == Phase::train; }
  void plan(const BatchShape& shape, StashPlan& plan);
  /// The router's logits before noise, [R, E] f32, and what whole sequences chose, [B·L, K].
  struct Routed {
    TensorView logits, choices;
  };
  /// With the pass that makes the logits.
  void forward(Run& run, const Frame& frame, const Routed& routed) const;
  /// dlogits [R, E] +=
  void backward(Run& run, const Frame& frame, const Routed& routed, TensorView dlogits) const;

 private:
  const WholeSequences& sequences_;
  bool repeats_;
  float coefficient_;
  std::int64_t experts_;
  WholeSequences::Values logits_{}, gradient_{};
};

}  // namespace caravan::moe
