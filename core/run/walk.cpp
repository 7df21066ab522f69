#include "core/run/walk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "caravan/check.hpp"

namespace caravan {
namespace {

void flush(Walk& walk, std::vector<Visit>& weights) {
  walk.insert(walk.end(), weights.begin(), weights.end());
  weights.clear();
}

bool posts(const Visit& visit) {
  return visit.segment->lane() != Lane::compute && visit.what != Visit::What::backward_weight;
}

/// Names for each visit the exchanges that it needs: the last one on each lane before it, unless it says that
/// it needs none or another visit has waited for it.
Walk linked(Walk walk) {
  std::array<std::optional<std::size_t>, kLanes> last;
  for (std::size_t index = 0; index < walk.size(); ++index) {
    Visit& visit = walk[index];
    visit.waits_for.clear();
    const bool is_weight = visit.what == Visit::What::backward_weight;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      if (last[lane] && !is_weight && visit.segment->needs_pending(static_cast<Lane>(lane)))
        visit.waits_for.push_back(*std::exchange(last[lane], std::nullopt));
    }
    if (posts(visit)) last[static_cast<std::size_t>(visit.segment->lane())] = index;
  }
  return walk;
}

void append(Walk& walk, const Layer& layer, std::size_t index, Visit::What what) {
  for (Segment* segment : layer.segments()) {
    if (segment->directions() != Segment::Directions::backward) walk.push_back({segment, index, what});
  }
}

/// Those of a layer that go backward, the last one first.
std::vector<Segment*> reversed(const Layer& layer) {
  std::vector<Segment*> segments;
  std::copy_if(layer.segments().rbegin(), layer.segments().rend(), std::back_inserter(segments),
               [](const Segment* segment) { return segment->directions() != Segment::Directions::forward; });
  return segments;
}

void append_reversed(Walk& walk, const Layer& layer, std::size_t index, Visit::What what) {
  for (Segment* segment : reversed(layer)) walk.push_back({segment, index, what});
}

void append_backward(Walk& walk, const Layer& layer, std::size_t index) {
  const std::vector<Segment*> segments = reversed(layer);
  std::vector<Visit> weights;
  for (std::size_t at = 0; at < segments.size(); ++at) {
    walk.push_back({segments[at], index, Visit::What::backward_input});
    weights.push_back({segments[at], index, Visit::What::backward_weight});
    const bool next_posts = at + 1 < segments.size() && segments[at + 1]->lane() != Lane::compute;
    if (!next_posts) flush(walk, weights);
  }
  walk.back().completes_weights = true;
}

/// The repeated forward of the group that ends with layer `last`, if one does.
void append_repeated(Walk& walk, const std::vector<Layer*>& layers, const RecomputePlan& recompute,
                     std::size_t last) {
  if (recompute.empty() || !recompute[last].repeats) return;
  if (last + 1 < layers.size() && !recompute[last + 1].keeps_input) return;
  std::size_t first = last;
  while (!recompute[first].keeps_input) --first;
  for (std::size_t index = first; index <= last; ++index)
    append(walk, *layers[index], index, Visit::What::repeated_forward);
}

/// Layers in reverse, each by `append_layer(walk, layer, index)`, groups repeated before.
template <typename AppendLayer>
Walk reversed_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute,
                   AppendLayer append_layer) {
  Walk walk;
  for (std::size_t index = layers.size(); index-- > 0;) {
    append_repeated(walk, layers, recompute, index);
    append_layer(walk, *layers[index], index);
  }
  return linked(std::move(walk));
}

}  // namespace

Walk forward_walk(const std::vector<Layer*>& layers) {
  Walk walk;
  for (std::size_t index = 0; index < layers.size(); ++index)
    append(walk, *layers[index], index, Visit::What::forward);
  return linked(std::move(walk));
}

Walk backward_input_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute) {
  return reversed_walk(layers, recompute, [](Walk& walk, const Layer& layer, std::size_t index) {
    append_reversed(walk, layer, index, Visit::What::backward_input);
  });
}

Walk backward_weight_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute) {
  return reversed_walk(layers, recompute, [](Walk& walk, const Layer& layer, std::size_t index) {
    append_reversed(walk, layer, index, Visit::What::backward_weight);
    walk.back().completes_weights = true;
  });
}

Walk backward_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute) {
  return reversed_walk(layers, recompute, append_backward);
}

Walk without_first_repeat(Walk walk) {
  const auto repeats = [](const Visit& visit) { return visit.what == Visit::What::repeated_forward; };
  const auto first = std::find_if(walk.begin(), walk.end(), repeats);
  walk.erase(first, std::find_if_not(first, walk.end(), repeats));
  return linked(std::move(walk));
}

void Cursor::run(const Visit& visit) {
  switch (visit.what) {
    case Visit::What::forward:
    case Visit::What::exchange:
      return visit.segment->forward(run_, stash_.forward_frame(visit.layer, set_));
    case Visit::What::repeated_forward: {
      const Pass pass = std::exchange(run_.pass, Pass::recomputation);
      visit.segment->forward(run_, stash_.frame(visit.layer, set_));
      run_.pass = pass;
      return;
    }
    case Visit::What::backward_input:
      return visit.segment->backward_input(run_, stash_.frame(visit.layer, set_));
    case Visit::What::backward_weight:
      return visit.segment->backward_weight(run_, stash_.frame(visit.layer, set_));
  }
}

template <typename What>
void Cursor::explained(const Visit& visit, What&& what) {
  try {
    what();
  } catch (Error& error) {
    const std::string layer =
        visit.layer < names_.size() ? fmt::format("'{}'", names_[visit.layer]) : std::to_string(visit.layer);
    error.add_context(fmt::format("segment '{}' of layer {}", visit.segment->name(), layer));
    throw;
  }
}

/// At the walk's end every exchange is.
bool Cursor::is_needed(const Posted& posted) const {
  if (next_ == walk_.size()) return true;
  const std::vector<std::size_t>& needed = walk_[next_].waits_for;
  return std::find(needed.begin(), needed.end(), posted.visit) != needed.end();
}

bool Cursor::step() {
  if (next_ == walk_.size()) return false;
  for (const Posted& posted : under_way()) {
    if (is_needed(posted)) return false;
  }
  const Visit& now = walk_[next_];
  if (observer_) observer_->starts(now);
  explained(now, [&] { run(now); });
  if (posts(now) && run_.pending.pending()) {
    CARAVAN_EXPECT(num_posted_ < posted_.size());
    posted_[num_posted_++] = {next_, std::move(run_.pending)};
    if (observer_) observer_->posted(now);
  }
  ++next_;
  if (observer_) observer_->visited(now);
  return true;
}

void Cursor::wait() {
  std::size_t left = 0;
  for (Posted& posted : under_way()) {
    if (!is_needed(posted)) {
      posted_[left++] = std::move(posted);
      continue;
    }
    run_.pending = std::move(posted.ticket);
    const Visit& visit = walk_[posted.visit];
    if (observer_) observer_->waits(visit);
    explained(visit, [&] { visit.segment->wait(run_); });
    if (observer_) observer_->arrived(visit);
  }
  num_posted_ = left;
}

void Cursor::advance() {
  wait();
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
