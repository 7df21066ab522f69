#pragma once

#include "caravan/tensor.hpp"

namespace caravan {

/// Sums gradients over the ranks that hold other tokens, while the backward walk goes on. No division: the
/// loss is scaled once by the tokens of the whole optimizer step. All ranks of the group must announce the
/// same views in the same order.
class GradientReducer {
 public:
  virtual ~GradientReducer() = default;
  /// These gradients are final on this rank. f32, contiguous; must not be touched until wait_all returns.
  virtual void ready(TensorView grads) = 0;
  /// Lets what is under way advance; cheap, call it between segments.
  virtual void progress() = 0;
  /// Returns when everything announced holds the sum over the group.
  virtual void wait_all() = 0;
};

}  // namespace caravan
