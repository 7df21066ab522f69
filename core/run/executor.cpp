#include "core/run/executor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {
namespace {

constexpr Step kForward{{0, ActionKind::forward, 0}, {}};

Placement whole_model() {
  return {{0}, {{0}}};
}

/// A row that keeps no order across ranks: it only needs places.
RankPlan plan_alone(std::span<const Step> row, int microbatches) {
  RankPlan plan;
  plan.row.assign(row.begin(), row.end());
  plan.placement = whole_model();
  plan.microbatches = microbatches;
  plan.places.push_back(assign_places(plan.row, 0, microbatches, plan.placement));
  return plan;
}

/// What a visit of a walk is in a plan's words; `forward`: what goes forward, F or R. What is no layer's and
/// takes the compute lane's time makes room for gradients.
ActionKind kind_of(Visit::What what, ActionKind forward) {
  switch (what) {
    case Visit::What::repeated_forward:
      return ActionKind::recompute;
    case Visit::What::backward_input:
      return ActionKind::backward_input;
    case Visit::What::backward_weight:
      return ActionKind::backward_weight;
    case Visit::What::exchange:
      return ActionKind::reduce_gradients;
    default:
      return forward;
  }
}

bool adds_to_weights(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight;
}

bool is_message(ActionKind kind) {
  return kind == ActionKind::send_forward || kind == ActionKind::receive_forward ||
         kind == ActionKind::send_backward || kind == ActionKind::receive_backward;
}

}  // namespace

Executor::Executor(Device& device, Stage& stage, Stash& stash, StageGroups* groups)
    : device_(device),
      stages_{{stage, stash, groups}},
      alone_(make_single_communicator()),
      pipeline_(*alone_),
      memory_(device, StepSums::kBytes, "sums"),
      sums_(memory_),
      recorder_(device) {
  take(plan_alone(std::span(&kForward, 1), 1));
  zero_sums();
}

Executor::Executor(Device& device, RankPlan plan, std::vector<LocalStage> stages, Communicator& pipeline,
                   Whereabouts* whereabouts)
    : device_(device),
      stages_(std::move(stages)),
      pipeline_(pipeline),
      memory_(device, StepSums::kBytes, "sums"),
      sums_(memory_),
      whereabouts_(whereabouts),
      recorder_(device) {
  take(std::move(plan));
  zero_sums();
}

void Executor::take(RankPlan plan) {
  plan_ = std::move(plan);
  members_.clear();
  layers_.clear();
  CARAVAN_EXPECT(plan_.places.size() == stages_.size());
  const std::vector<int>& indices = plan_.stages(pipeline_.rank());
  const auto rank_of = [&](int stage) {
    const bool exists = stage >= 0 && stage < plan_.placement.stages();
    return exists ? plan_.placement.rank_of[static_cast<std::size_t>(stage)] : -1;
  };
  for (std::size_t at = 0; at < stages_.size(); ++at) {
    const LocalStage& local = stages_[at];
    const PipelineStage::Neighbours neighbours{pipeline_, rank_of(indices[at] - 1), rank_of(indices[at] + 1)};
    members_.push_back(std::make_unique<Member>(
        Member{{device_, local, sums_, plan_.places[at], neighbours}, {*this, local}, local.groups}));
    layers_.insert(layers_.end(), local.stage.layers().begin(), local.stage.layers().end());
  }
  find_last_weight_steps();
  spans_.resize(plan_.row.size());
}

void Executor::find_last_weight_steps() {
  for (std::size_t index = 0; index < plan_.row.size(); ++index) {
    const Step& step = plan_.row[index];
    const auto at = static_cast<std::ptrdiff_t>(index);
    if (adds_to_weights(step.action)) member(step.action.stage)->last_weight_step = at;
    if (step.overlapped && adds_to_weights(*step.overlapped))
      member(step.overlapped->stage)->last_weight_step = at;
  }
}

Executor::Member* Executor::member(int stage) {
  const std::vector<int>& indices = plan_.stages(pipeline_.rank());
  const auto found = std::find(indices.begin(), indices.end(), stage);
  return found == indices.end() ? nullptr : members_[static_cast<std::size_t>(found - indices.begin())].get();
}

void Executor::zero_sums() {
  for (const TensorView& sum : {sums_.loss, sums_.balance, sums_.overflow, sums_.dropped})
    device_.fill_zero(Lane::compute, sum.data, sum.bytes());
}

/// What posts an exchange of parameters is seen on its lane, by its group.
bool Executor::Observer::is_recorded(const Visit& visit) const {
  const bool is_of_group = visit.what == Visit::What::exchange && visit.segment->lane() == Lane::shard;
  return executor_.timing_ == Timing::visits && !is_of_group;
}

void Executor::Observer::starts(const Visit& visit) {
  if (is_recorded(visit)) executor_.recorder_.visit_begins();
}

void Executor::Observer::visited(const Visit& visit) {
  if (is_recorded(visit))
    executor_.recorder_.visited(kind_of(visit.what, forward_), visit, local_.stage.name(visit.layer));
  if (final_gradients_ && visit.completes_weights)
    executor_.announcer_.finished(*local_.stage.layers()[visit.layer]);
  executor_.announcer_.progress();
  if (executor_.whereabouts_) executor_.whereabouts_->tick();
  for (const auto& other : executor_.members_) {
    other->stage.progress();
    if (other->groups) other->groups->progress();
  }
}

void Executor::Observer::posted(const Visit& visit) {
  if (!is_recorded(visit)) return;
  recorded_[&visit] =
      executor_.recorder_.exchange_begins(kind_of(visit.what, forward_), visit.segment->lane(),
                                          visit.segment->name(), local_.stage.name(visit.layer));
}

void Executor::Observer::arrived(const Visit& visit) {
  if (const auto recorded = recorded_.extract(&visit); !recorded.empty())
    executor_.recorder_.exchange_is_over(recorded.mapped());
}

void Executor::Observer::expect_final_gradients(bool expected) {
  final_gradients_ = expected;
  if (local_.groups) local_.groups->expect_final(expected);
}

void Executor::measure(Timing timing) {
  timing_ = timing;
  for (const LocalStage& local : stages_)
    if (local.groups) local.groups->record(timing == Timing::visits ? &recorder_ : nullptr);
}

double Executor::clock() {
  if (timing_ == Timing::off) return 0;
  device_.synchronize();
  return recorder_.seconds();
}

bool Executor::is_left_out(const Action& action) const {
  return action.microbatch != kNoMicrobatch &&
         static_cast<std::size_t>(action.microbatch) >= now_.batches.size();
}

std::optional<Cursor> Executor::begin(const Action& action, std::size_t index) {
  Member& at = *member(action.stage);
  if (at.groups) at.groups->require();
  at.observer.begins(action.kind);
  at.observer.expect_final_gradients(at.last_weight_step == static_cast<std::ptrdiff_t>(index));
  return at.stage.begin(action, now_.batches, now_.scales, &at.observer);
}

/// Hands a result to the neighbouring stage where that is on this rank too.
void Executor::pass_on(const Action& action) {
  Member& from = *member(action.stage);
  const bool forward = action.kind == ActionKind::forward;
  const bool backward = action.kind == ActionKind::backward || action.kind == ActionKind::backward_input;
  if (!forward && !backward) return;
  Member* to = member(action.stage + (forward ? 1 : -1));
  if (!to) return;
  const TensorView data =
      forward ? from.stage.output(action.microbatch) : from.stage.input_gradient(action.microbatch);
  const TensorView place =
      forward ? to->stage.input_place(action.microbatch) : to->stage.gradient_place(action.microbatch);
  device_.copy(Lane::compute, place.data, data.data, place.bytes());
}

void Executor::walk(const Step& step, std::size_t index) {
  std::optional<Cursor> first = begin(step.action, index);
  std::optional<Cursor> second = step.overlapped ? begin(*step.overlapped, index) : std::nullopt;
  if (first && second) {
    run_overlapped(*first, *second);
  } else {
    if (first) first->finish();
    if (second) second->finish();
  }
  pass_on(step.action);
  if (step.overlapped) pass_on(*step.overlapped);
}

void Executor::exchange(const Action& action) {
  StageGroups* groups = member(action.stage)->groups;
  if (!groups) return;  // whole parameters, whose gradients are announced while the last backward walks
  // RESHARD has nothing to do: the room is this stage's alone, and what it holds may be used until the
  // update.
  if (action.kind == ActionKind::unshard) groups->unshard();
  if (action.kind == ActionKind::reduce_gradients) groups->reduce();
}

void Executor::run_step(std::size_t index) {
  const Step& step = plan_.row[index];
  if (is_left_out(step.action)) return;
  enter(whereabouts_, step.action);
  if (is_message(step.action.kind)) return member(step.action.stage)->stage.communicate(step.action);
  if (!is_walk(step.action.kind)) return exchange(step.action);
  member(step.action.stage)->stage.wait_for_inputs(step.action);
  if (step.overlapped) member(step.overlapped->stage)->stage.wait_for_inputs(*step.overlapped);
  spans_[index].begin = clock();
  walk(step, index);
  spans_[index].end = clock();
}

void Executor::run(std::span<const MicroBatch> batches, const StepScales& scales, GradientReducer* reducer) {
  now_ = {batches, scales};
  recorder_.start();
  announcer_.start(reducer, layers_);
  for (std::size_t index = 0; index < plan_.row.size(); ++index) {
    try {
      run_step(index);
    } catch (Error& error) {
      error.add_context("action " + to_string(plan_.row[index]));
      throw;
    }
  }
  enter(whereabouts_, "the last sends of the plan");
  for (const auto& each : members_) each->stage.finish_sends();
}

void Executor::run(std::span<const Step> row, std::span<const MicroBatch> batches, const StepScales& scales,
                   GradientReducer* reducer) {
  const bool same = plan_.microbatches == static_cast<int>(batches.size()) &&
                    std::equal(row.begin(), row.end(), plan_.row.begin(), plan_.row.end());
  if (!same) take(plan_alone(row, static_cast<int>(batches.size())));
  run(batches, scales, reducer);
}

void Executor::forward(const MicroBatch& batch) {
  run(std::span(&kForward, 1), std::span(&batch, 1), StepScales{}, nullptr);
}

}  // namespace caravan
