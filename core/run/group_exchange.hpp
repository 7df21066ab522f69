#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "caravan/gradient_reducer.hpp"
#include "caravan/layer.hpp"
#include "core/run/parameter_groups.hpp"
#include "core/run/repeated_gradients.hpp"
#include "core/run/run_recorder.hpp"

namespace caravan {

class GroupExchange;

/// Who is whole in a room of weights; null: nobody.
struct WeightRoom {
  const GroupExchange* holder = nullptr;
};

/// What went over a shard group.
struct GroupTraffic {
  std::int64_t gathers = 0, reductions = 0;
};

/// Makes one parameter group whole, and sums its gradients into the stretches that the ranks keep.
class GroupExchange {
 public:
  /// Borrows all. `group` need not be allocated before the first post.
  GroupExchange(Device& device, ParameterStore& store, const ParameterGroup& group, Communicator& ranks,
                RepeatedGradients& repeated, WeightRoom& room);
  GroupExchange(const GroupExchange&) = delete;
  /// Waits for a gather that no walk came for, but not while an exception unwinds.
  ~GroupExchange();

  const ParameterGroup& group() const noexcept { return group_; }
  /// Before the first backward of a step. `replicas` sums the final stretch over ranks that hold the same;
  /// null: there are none.
  void start_step(GradientReducer* replicas);

  // Where a plan says when. One of several stages that use the group speaks for all.
  /// One more stage does.
  void add_stage() { ++stages_; }
  /// Posts the gathering of the weights, unless they are whole and the newest already.
  void unshard();
  /// Waits for it.
  void require();
  /// A stage has added its last to the gradients; of the last one they are summed over the ranks.
  void stage_is_done();
  void finish_step();

  /// Posts the gathering of weights that have changed, for the next walk that wants them.
  void gather_early();
  bool is_gathered_early() const { return early_gather_.pending(); }
  /// The room's weights are old from here on.
  void weights_changed();

  // In walks.
  /// The backward to come is the step's last of this group.
  void expect_final(bool expected) { is_final_ = expected; }
  /// Lets what is under way advance.
  void progress();
  Segment& gather() noexcept { return gather_; }
  Segment& prepare_segment() noexcept { return prepare_; }
  Segment& reduce() noexcept { return reduce_; }
  /// Of the last layers of a walk that use the group.
  Segment& reduce_last() noexcept { return reduce_last_; }
  /// Since it was made.
  const GroupTraffic& traffic() const noexcept { return traffic_; }
  /// Told when exchanges begin and are over, between steps; null: nobody measures.
  void record(RunRecorder* recorder) { recorder_ = recorder; }

 private:
  /// Posts, or does at once, what needs no activations.
  class Exchange final : public Segment {
   public:
    using Action = void (GroupExchange::*)(Run&);
    Exchange(GroupExchange& owner, std::string_view what, Lane lane, Action start, Action finish);
    std::string_view name() const override { return name_; }
    Lane lane() const override { return lane_; }
    bool needs_pending(Lane) const override { return false; }
    void forward(Run& run, Frame&) override { (owner_.*start_)(run); }
    void backward_input(Run& run, Frame&) override { (owner_.*start_)(run); }
    void wait(Run& run) override { (owner_.*finish_)(run); }

   private:
    GroupExchange& owner_;
    std::string name_;
    Lane lane_;
    Action start_, finish_;
  };
  /// Nothing is posted when the weights are whole and the newest already, or on their way.
  Ticket post_gather();
  Ticket gather_weights() { return ranks_.post_all_gather(group_.own_weights, group_.weights); }
  /// Of the room's gradients; nobody adds to them until it is over.
  Ticket post_reduction();
  /// The stretch then holds the sum of all reductions of the step, the first of which replaces what it held.
  void finish_reduction(Ticket& ticket);
  /// Around a post: what is under way from here on.
  void begins(ActionKind kind, const Exchange& exchange);
  void is_posted(const Ticket& ticket);
  void is_over();
  void wait(Ticket& ticket);
  void announce();

  void start_gather(Run& run) { run.pending = post_gather(); }
  void finish_gather(Run& run) { wait(run.pending); }
  void start_prepare(Run&) { store_.start_gradients(device_, group_); }
  void start_reduction(Run& run) {
    if (!group_.sums_in_last_walk || is_final_) run.pending = post_reduction();
  }
  void finish_reduction(Run& run) { finish_reduction(run.pending); }
  void finish_last_reduction(Run& run);

  Device& device_;
  ParameterStore& store_;
  const ParameterGroup& group_;
  Communicator& ranks_;
  RepeatedGradients& repeated_;
  WeightRoom& room_;
  GradientReducer* replicas_ = nullptr;
  int stages_ = 0, stages_left_ = 0;
  Ticket planned_gather_, planned_reduction_, early_gather_;
  bool is_first_ = true, is_final_ = false;
  std::uint64_t under_way_ = 0;  ///< id of the last ticket that is not known to be over
  GroupTraffic traffic_;
  RunRecorder* recorder_ = nullptr;
  std::optional<std::size_t> recorded_{};  ///< what is under way, by the recorder's number
  Exchange gather_, prepare_, reduce_, reduce_last_;
};

}  // namespace caravan
