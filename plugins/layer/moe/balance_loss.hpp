#pragma once

#include "caravan/layer.hpp"
#include "caravan/tensor_rows.hpp"

namespace caravan::moe {

/// The load-balance loss of a layer and its gradient. It is of whole sequences: tensor ranks that route rows
/// of parts of them gather logits and choices, and add to the gradient of their own. Of those that route the
/// same rows, as of those, the first one counts; the gradient of these is made by it alone, as theirs are
/// summed.
class BalanceLoss {
 public:
  /// `rows`: how the router's travel; undivided where each rank routes all. `coefficient` 0: there is none,
  /// and nothing below does anything.
  BalanceLoss(TensorRows rows, float coefficient, std::int64_t experts, std::int64_t top_k)
      : rows_(rows), coefficient_(coefficient), experts_(experts), top_k_(top_k) {}

  bool is_wanted() const noexcept { return coefficient_ > 0; }
  void plan(const BatchShape& shape, StashPlan& plan);
  /// What forward was given: the router's logits before noise [R, E] f32, and its choices [R, K].
  struct Routed {
    TensorView logits, experts;
  };
  /// With the pass that makes the logits.
  void forward(Run& run, const Frame& frame, const Routed& routed) const;
  /// dlogits [R, E] +=
  void backward(Run& run, const Frame& frame, const Routed& routed, TensorView dlogits) const;

 private:
  Routed of_sequences(const Run& run, const Frame& frame, const Routed& routed) const;
  void gather(Run& run, const TensorView& memory, const TensorView& own) const;

  TensorRows rows_;
  float coefficient_;
  std::int64_t experts_, top_k_;
  Entry logits_, choices_, gradient_;  ///< of the rows of all tensor ranks
};

}  // namespace caravan::moe
