#pragma once

#include <vector>

#include "core/run/stash.hpp"

namespace caravan {

/// One visit of a walk: what to do with which segment of which layer.
struct Visit {
  enum class What { forward, repeated_forward, backward_input, backward_weight };
  Segment* segment = nullptr;
  std::size_t layer = 0;
  What what = What::forward;
  /// The layer's last visit of a walk that completes its weight gradients.
  bool completes_weights = false;
};
using Walk = std::vector<Visit>;

/// F: every segment in order.
Walk forward_walk(const std::vector<Layer*>& layers);
/// I alone, in reverse order. Here and below, each group of layers that `recompute` repeats goes forward once
/// more before its backward; an empty plan repeats nothing.
Walk backward_input_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute = {});
/// W alone, in reverse order. Groups go forward again for W too: keeping what W reads from I to W would take
/// memory for each micro-batch between the two.
Walk backward_weight_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute = {});
/// B: I in reverse order; a segment's W follows as soon as the next communication of its layer has been
/// posted, so that weight gradients fill the wait. No W outlives its layer's visits.
Walk backward_walk(const std::vector<Layer*>& layers, const RecomputePlan& recompute = {});

/// A backward walk that begins where the forward has just ended: without its first group's repeated forward.
Walk without_first_repeat(Walk walk);

/// Sees every visit that a walk has made; the executor hooks gradient reduction and the progress of messages
/// in here.
class WalkObserver {
 public:
  virtual ~WalkObserver() = default;
  virtual void visited(const Visit& visit) = 0;
};

/// A resumable walk over one micro-batch. advance() runs until the walk would have to wait for communication
/// that it posted itself; run_overlapped() hides each walk's communication behind the other's computation.
class Cursor {
 public:
  /// Borrows everything. `set` is the micro-batch's place in the stash; `observer` may be null.
  Cursor(const Walk& walk, Run& run, Stash& stash, int set, WalkObserver* observer = nullptr)
      : walk_(walk), run_(run), stash_(stash), set_(set), observer_(observer) {}
  bool done() const noexcept { return next_ == walk_.size() && !posted_; }
  void advance();
  void finish() {
    while (!done()) advance();
  }

 private:
  bool step();  // false: the next visit needs the communication that is in flight
  void wait();
  void visit(const Visit& visit);
  void run(const Visit& visit);

  const Walk& walk_;
  Run& run_;
  Stash& stash_;
  int set_;
  WalkObserver* observer_;
  std::size_t next_ = 0;
  Segment* posted_ = nullptr;
};

void run_overlapped(Cursor& forward, Cursor& backward);

}  // namespace caravan
