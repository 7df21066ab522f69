#pragma once

#include <unordered_map>
#include <vector>

#include "caravan/gradient_reducer.hpp"
#include "caravan/layer.hpp"

namespace caravan {

/// Tells a reducer of each parameter when the last layer of this rank that uses it is done with its gradient.
/// A tied parameter has several. What its layer sums over ranks is not the reducer's.
class GradientAnnouncer {
 public:
  /// `reducer` may be null: nobody is told.
  void start(GradientReducer* reducer, const std::vector<const Layer*>& layers);
  /// The gradients of this layer's parameters are final as far as the layer is concerned.
  void finished(const Layer& layer);
  void progress();

 private:
  GradientReducer* reducer_ = nullptr;
  std::unordered_map<const Parameter*, int> uses_left_;
};

}  // namespace caravan
