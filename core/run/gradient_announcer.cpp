#include "core/run/gradient_announcer.hpp"

namespace caravan {

void GradientAnnouncer::start(GradientReducer* reducer, const std::vector<const Layer*>& layers) {
  reducer_ = reducer;
  if (!reducer) return;
  for (auto& [parameter, left] : uses_left_) left = 0;
  for (const Layer* layer : layers) {
    for (const Parameter* parameter : layer->parameters()) ++uses_left_[parameter];
  }
}

void GradientAnnouncer::finished(const Layer& layer) {
  if (!reducer_) return;
  for (Parameter* parameter : layer.parameters()) {
    const bool is_reduced = parameter->is_trained() && !parameter->sums_rows();
    if (--uses_left_[parameter] == 0 && is_reduced) reducer_->ready(parameter->grad);
  }
}

void GradientAnnouncer::progress() {
  if (reducer_) reducer_->progress();
}

}  // namespace caravan
