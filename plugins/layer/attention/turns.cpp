#include <utility>

#include "plugins/layer/attention/attention_layer.hpp"

// The layer on context ranks: what is computed while keys of others, and gradients of keys, travel.
namespace caravan::attention {

/// A step of the layer in one direction, for the keys of one round.
class AttentionLayer::Turn final : public Segment {
 public:
  using Step = void (AttentionLayer::*)(Run&, Frame&, int round);
  /// Whether it waits for the last exchange before it, or runs while that is under way.
  enum class Last { needed, under_way };

  Turn(AttentionLayer& layer, const char* name, Directions directions, Last last, Step step, int round = 0)
      : layer_(layer), name_(name), directions_(directions), last_(last), step_(step), round_(round) {}
  std::string_view name() const override { return name_; }
  Directions directions() const override { return directions_; }
  bool needs_pending(Lane) const override { return last_ == Last::needed; }
  void forward(Run& run, Frame& frame) override { (layer_.*step_)(run, frame, round_); }
  void backward_input(Run& run, Frame& frame) override { (layer_.*step_)(run, frame, round_); }

 private:
  AttentionLayer& layer_;
  const char* name_;
  Directions directions_;
  Last last_;
  Step step_;
  int round_;
};

Segment* AttentionLayer::turn(Turn turn) {
  turns_.push_back(std::make_unique<Turn>(std::move(turn)));
  return turns_.back().get();
}

/// In forward the keys of one round travel while those of the round before are attended to, this rank's own
/// first; the last round is attend_last.
std::vector<Segment*> AttentionLayer::context_segments() {
  constexpr auto kForward = Segment::Directions::forward;
  std::vector<Segment*> segments{&project_segment_};
  add_backward_turns(segments);
  segments.insert(segments.end(),
                  {context_.arrival(1), turn({*this, "own keys", kForward, Turn::Last::under_way,
                                              &AttentionLayer::attend_first})});
  for (int round = 2; round <= context_.shares().rounds(); ++round)
    segments.insert(segments.end(),
                    {context_.arrival(round), turn({*this, "keys of others", kForward, Turn::Last::under_way,
                                                    &AttentionLayer::attend_again, round - 1})});
  segments.push_back(&attend_segment_);
  return segments;
}

/// I visits them from the last to the first: this rank's own keys, those of each round, and what nobody waits
/// for while the last gradients travel.
void AttentionLayer::add_backward_turns(std::vector<Segment*>& segments) {
  constexpr auto kBackward = Segment::Directions::backward;
  std::vector<Segment*> visited;
  const auto post = [&](int t) {
    if (Segment* exchange = context_.exchange(t)) visited.push_back(exchange);
    return context_.exchange(t) != nullptr;
  };
  post(1);
  visited.push_back(
      turn({*this, "own keys", kBackward, Turn::Last::under_way, &AttentionLayer::own_backward}));
  const int rounds = context_.shares().rounds();
  for (int round = 1; round <= rounds; ++round) {
    const Turn::Last last = post(round + 1) ? Turn::Last::under_way : Turn::Last::needed;
    visited.push_back(
        turn({*this, "keys of others", kBackward, last, &AttentionLayer::round_backward, round}));
  }
  post(rounds + 2);
  visited.push_back(
      turn({*this, "queries", kBackward, Turn::Last::under_way, &AttentionLayer::queries_backward}));
  segments.insert(segments.end(), visited.rbegin(), visited.rend());
}

void AttentionLayer::attend_first(Run& run, Frame& frame, int) {
  project_queries(run, frame);
  if (run.makes(frame, attended_)) attend_to_own(run, frame);
}

void AttentionLayer::attend_again(Run& run, Frame& frame, int round) {
  if (run.makes(frame, attended_)) attend_to_round(run, frame, round);
}

void AttentionLayer::attend_last(Run& run, Frame& frame) {
  attend_again(run, frame, context_.shares().rounds());
  put_out(run, frame);
}

void AttentionLayer::own_backward(Run& run, Frame& frame, int) {
  differentiate_own(run, frame);
}

void AttentionLayer::round_backward(Run& run, Frame& frame, int round) {
  context_.add_gradients(run, frame, round);
  differentiate_round(run, frame, round);
}

void AttentionLayer::queries_backward(Run& run, Frame& frame, int) {
  differentiate_between(run, frame);
  if (context_.travel(run.shape)) differentiate_heads(run, frame, Part::queries);
}

/// What the last two exchanges brought nobody has added.
void AttentionLayer::finish_keys(Run& run, Frame& frame) {
  for (int t = context_.shares().rounds() + 1; t <= context_.exchanges(); ++t)
    context_.add_gradients(run, frame, t);
  context_.finish_gradients(run, frame);
}

}  // namespace caravan::attention
