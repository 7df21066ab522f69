#include "core/run/walk.hpp"

#include <fmt/format.h>

#include "caravan/error.hpp"

namespace caravan {
namespace {

void flush(Walk& walk, std::vector<Visit>& weights) {
  walk.insert(walk.end(), weights.begin(), weights.end());
  weights.clear();
}

void append_backward(Walk& walk, const std::vector<Segment*>& segments, std::size_t layer) {
  std::vector<Visit> weights;
  for (std::size_t index = segments.size(); index-- > 0;) {
    Segment* segment = segments[index];
    walk.push_back({segment, layer, Visit::What::backward_input});
    weights.push_back({segment, layer, Visit::What::backward_weight});
    const bool next_posts = index > 0 && segments[index - 1]->lane() == Lane::comm;
    if (!next_posts) flush(walk, weights);
  }
  walk.back().completes_weights = true;
}

}  // namespace

Walk forward_walk(const std::vector<Layer*>& layers) {
  Walk walk;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (Segment* segment : layers[layer]->segments()) walk.push_back({segment, layer, Visit::What::forward});
  }
  return walk;
}

Walk backward_input_walk(const std::vector<Layer*>& layers) {
  Walk walk;
  for (std::size_t layer = layers.size(); layer-- > 0;) {
    const auto& segments = layers[layer]->segments();
    for (std::size_t index = segments.size(); index-- > 0;) {
      walk.push_back({segments[index], layer, Visit::What::backward_input});
    }
  }
  return walk;
}

Walk backward_weight_walk(const std::vector<Layer*>& layers) {
  Walk walk = backward_input_walk(layers);
  for (Visit& visit : walk) visit.what = Visit::What::backward_weight;
  for (std::size_t index = 0; index < walk.size(); ++index) {
    walk[index].completes_weights = index + 1 == walk.size() || walk[index + 1].layer != walk[index].layer;
  }
  return walk;
}

Walk backward_walk(const std::vector<Layer*>& layers) {
  Walk walk;
  for (std::size_t layer = layers.size(); layer-- > 0;)
    append_backward(walk, layers[layer]->segments(), layer);
  return walk;
}

void Cursor::visit(const Visit& visit) {
  Frame& frame = stash_.frame(visit.layer, set_);
  try {
    switch (visit.what) {
      case Visit::What::forward:
        visit.segment->forward(run_, frame);
        break;
      case Visit::What::backward_input:
        visit.segment->backward_input(run_, frame);
        break;
      case Visit::What::backward_weight:
        visit.segment->backward_weight(run_, frame);
        break;
    }
  } catch (Error& error) {
    error.add_context(fmt::format("segment '{}' of layer {}", visit.segment->name(), visit.layer));
    throw;
  }
}

bool Cursor::step() {
  if (next_ == walk_.size()) return false;
  const Visit& next = walk_[next_];
  const bool free = next.what == Visit::What::backward_weight || !next.segment->needs_pending();
  if (posted_ && !free) return false;
  visit(next);
  ++next_;
  const bool posts = next.segment->lane() == Lane::comm && next.what != Visit::What::backward_weight;
  if (posts && run_.pending.pending()) posted_ = next.segment;
  if (observer_) observer_->visited(next);
  return true;
}

void Cursor::wait() {
  posted_->wait(run_);
  posted_ = nullptr;
}

void Cursor::advance() {
  if (posted_) wait();
  while (step()) {
  }
}

void run_overlapped(Cursor& forward, Cursor& backward) {
  while (!forward.done() || !backward.done()) {
    if (!backward.done()) backward.advance();
    if (!forward.done()) forward.advance();
  }
}

}  // namespace caravan
