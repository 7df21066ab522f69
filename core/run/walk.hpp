#pragma once

#include <array>
#include <span>
#include <string>
#include <vector>

#include "core/run/stash.hpp"

namespace caravan {

/// One visit of a walk: what to do with which segment of which layer.
struct Visit {
  enum class What {
    forward,
    repeated_forward,
    backward_input,
    backward_weight,
    exchange  ///< of parameters or their gradients: its segment belongs to no layer
  };
  Segment* segment = nullptr;
  std::size_t layer = 0;
  What what = What::forward;
  /// The layer's last visit of a walk that completes its weight gradients.
  bool completes_weights = false;
  /// Earlier visits of the walk, by their index, whose exchange must be over before this one.
  std::vector<std::size_t> waits_for{};
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

/// Sees every visit that a walk makes; the executor hooks gradient reduction, the progress of messages and
/// measurement in here.
class WalkObserver {
 public:
  virtual ~WalkObserver() = default;
  virtual void starts(const Visit&) {}
  virtual void visited(const Visit& visit) = 0;
  /// An exchange of this visit is under way, is waited for, and is over.
  virtual void posted(const Visit&) {}
  virtual void waits(const Visit&) {}
  virtual void arrived(const Visit&) {}
};

/// A resumable walk over one micro-batch. Several exchanges may be under way: each is waited for when the
/// first visit that names it comes, or at the walk's end. advance() runs until the walk would have to wait
/// for one; run_overlapped() hides each walk's exchanges behind the other's computation.
class Cursor {
 public:
  /// Borrows everything. `set` is the micro-batch's place in the stash; `observer` may be null. `names`: of
  /// the layers, for errors; or none.
  Cursor(const Walk& walk, Run& run, Stash& stash, int set, WalkObserver* observer = nullptr,
         std::span<const std::string> names = {})
      : walk_(walk), run_(run), stash_(stash), set_(set), observer_(observer), names_(names) {}
  bool done() const noexcept { return next_ == walk_.size() && num_posted_ == 0; }
  void advance();
  void finish() {
    while (!done()) advance();
  }

 private:
  /// An exchange under way.
  struct Posted {
    std::size_t visit = 0;
    Ticket ticket;
  };
  std::span<Posted> under_way() { return std::span(posted_).first(num_posted_); }
  bool is_needed(const Posted& posted) const;
  bool step();  // false: the next visit needs an exchange that is under way
  void wait();
  void run(const Visit& visit);
  /// An error of `what` is told which segment's it is.
  template <typename What>
  void explained(const Visit& visit, What&& what);

  const Walk& walk_;
  Run& run_;
  Stash& stash_;
  int set_;
  WalkObserver* observer_;
  std::span<const std::string> names_;
  std::size_t next_ = 0;
  std::array<Posted, 16> posted_;  // in the order of their visits; fixed, because walks allocate nothing
  std::size_t num_posted_ = 0;
};

void run_overlapped(Cursor& forward, Cursor& backward);

}  // namespace caravan
