#include "core/run/train_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <limits>

#include "caravan/check.hpp"
#include "caravan/random.hpp"
#include "core/run/update_groups.hpp"

namespace caravan {

std::uint64_t step_seed(std::uint64_t seed, std::int64_t step) {
  const auto words = philox({seed, hash_name("step")}, 0, static_cast<std::uint64_t>(step));
  return (static_cast<std::uint64_t>(words[0]) << 32) | words[1];
}

namespace {

/// Whether the first element of `part` is one of `whole`.
bool begins_in(const TensorView& whole, const TensorView& part) {
  const auto* const first = static_cast<const std::byte*>(whole.data);
  const auto* const at = static_cast<const std::byte*>(part.data);
  return first <= at && at < first + whole.bytes();
}

/// With one micro-batch and nobody else's rows a gradient is final as soon as its operator has written it.
/// The operator then adds up the squares on the way, and the norm needs no pass over this gradient.
void square_as_made(const TrainStep::Parts& parts, TensorView squares) {
  const bool one_sum = parts.plan.microbatches == 1 && parts.rows.host.size() == 1;
  for (const auto& parameter : parts.parameters.parameters())
    parameter->squares = one_sum && parameter->gradient_is_squared() ? squares : TensorView{};
}

}  // namespace

TrainStep::TrainStep(Parts parts)
    : parts_(std::move(parts)),
      executor_(parts_.device, parts_.plan, parts_.stages, parts_.pipeline.tensors, parts_.whereabouts),
      memory_(parts_.device, 256, "step scalars"),
      squares_(memory_.take(DType::f64, {1})),
      clip_(memory_.take(DType::f32, {1})) {
  square_as_made(parts_, squares_);
  shared_.emplace(parts_.device, parts_.parameters, parts_.pipeline.tensors, parts_.shared);
  for (const auto& buffer : parts_.parameters.buffers()) {
    if (buffer->role != Buffer::Role::counter) continue;
    counters_.push_back(buffer.get());
    for (Posted& step : steps_) {
      if (parts_.experts) step.own_counts.emplace_back(static_cast<std::size_t>(buffer->shape.count()));
      step.expert_counts.emplace_back(static_cast<std::size_t>(buffer->shape.count()));
    }
  }
  for (const auto& parameter : parts_.parameters.parameters()) parameters_.push_back(parameter.get());
  clip_logits();
  order_updates();
  if (MatrixUpdates::are_wanted(parts_.parameters))
    matrices_.emplace(parts_.device, parts_.parameters, parts_.optimizer, parts_.mesh);
  start_clip();
}

TrainStep::~TrainStep() {
  for (const auto& parameter : parts_.parameters.parameters()) parameter->squares = {};
}

void TrainStep::clip_logits() {
  const double limit = parts_.optimizer.largest_logit();
  if (limit == 0) return;
  logits_.emplace(parts_.device, parts_.parameters, limit);
  for (Posted& step : steps_)
    step.largest_logits.resize(static_cast<std::size_t>(logits_->largest().count()));
}

void TrainStep::start_clip() {
  constexpr float kNone = 1;
  parts_.device.copy_from_host(Lane::compute, clip_.data, &kNone, sizeof kNone);
}

void TrainStep::post(std::span<const MicroBatch> batches, const Settings& settings) {
  CARAVAN_EXPECT(posted_ < kMostPosted);
  Posted& step = steps_[(oldest_ + posted_) % kMostPosted];
  step.settings = settings;
  step.first_sample =
      batches.empty() ? std::numeric_limits<std::int64_t>::max() : batches.front().token_map.first_sample;
  step.valid_tokens = count_valid(batches);
  enter(parts_.whereabouts, "all-reduce of the token count");
  parts_.tokens.host.all_reduce(TensorView(&step.valid_tokens, DType::i64, {1}), ReduceOp::sum);
  CARAVAN_CHECK(step.valid_tokens > 0, ConfigError,
                fmt::format("step {}: every label is ignored (there is nothing to learn). Look at the data?",
                            settings.step));
  walk(batches, step);
  update(step);
  balance(step);
  read_back(step);
  ++posted_;
}

void TrainStep::walk(std::span<const MicroBatch> batches, const Posted& step) {
  const Settings& settings = step.settings;
  parts_.parameters.start_gradients(parts_.device);
  if (parts_.sharded) parts_.sharded->start_step(parts_.reducer);
  zero_counters();  // a step that failed has left its own
  executor_.zero_sums();
  if (logits_) logits_->start();
  parts_.device.fill_zero(Lane::compute, squares_.data, squares_.bytes());
  executor_.run(batches,
                {step_seed(settings.seed, settings.step),
                 static_cast<float>(1.0 / static_cast<double>(step.valid_tokens)),
                 static_cast<float>(1.0 / static_cast<double>(settings.global_sequences))},
                parts_.sharded ? nullptr : parts_.reducer);
  enter(parts_.whereabouts, "reduction of the gradients");
  if (parts_.sharded)
    parts_.sharded->finish_step();
  else if (parts_.reducer)
    parts_.reducer->wait_all();
  parts_.parameters.finish_gradients(parts_.device);
  if (parts_.repeated) parts_.repeated->sum(parameters_);
  shared_->sum_gradients();
}

void TrainStep::update(const Posted& step) {
  Ops& ops = parts_.device.ops();
  enter(parts_.whereabouts, "all-reduce of the gradient norm");
  for (const TensorView& piece : shared_->unsquared_gradients()) ops.sum_of_squares({piece, squares_});
  parts_.shards.tensors.all_reduce(squares_, ReduceOp::sum);
  parts_.tensor.tensors.all_reduce(squares_, ReduceOp::sum);
  parts_.pipeline.tensors.all_reduce(squares_, ReduceOp::sum);
  if (logits_) {
    enter(parts_.whereabouts, "all-reduce of the largest logits");
    logits_->gather(parts_.rows.tensors);
  }
  enter(parts_.whereabouts, "the optimizer's update");
  ops.clip_factor({squares_, clip_, step.settings.max_norm});
  if (parts_.sharded) parts_.sharded->weights_changed();
  if (matrices_) transform_matrices(step);
  const auto update = [&](std::span<const UpdateGroup> groups) {
    for (const UpdateGroup& group : groups) parts_.optimizer.update(ops, step_of(step, group), group);
  };
  update(std::span(updates_).first(updates_before_gather_));
  if (logits_) logits_->clip(clip_);
  if (first_gathered_) first_gathered_->gather_early();
  update(std::span(updates_).subspan(updates_before_gather_));
}

OptimizerStep TrainStep::step_of(const Posted& step, const UpdateGroup& group) const {
  return {step.settings.step, step.settings.lr * group.lr_factor, clip_};
}

void TrainStep::transform_matrices(const Posted& step) {
  enter(parts_.whereabouts, "exchanges of whole matrices");
  for (const UpdateGroup& group : updates_)
    if (group.by_matrix) parts_.optimizer.prepare(parts_.device.ops(), step_of(step, group), group);
  matrices_->run();
  enter(parts_.whereabouts, "the optimizer's update");
}

/// What the next step begins with is updated first and travels while the rest is. Logits are clipped after
/// all updates, and nothing travels before that.
void TrainStep::order_updates() {
  updates_ = update_groups(parts_.parameters, parts_.optimizer);
  updates_before_gather_ = updates_.size();
  first_gathered_ = parts_.sharded ? parts_.sharded->first_gathered() : nullptr;
  if (!first_gathered_ || logits_) return;
  const TensorView& own = first_gathered_->group().own_weights;
  const auto is_gathered = [&](const UpdateGroup& update) {
    const TensorView& weight = update.weight.empty() ? update.master : update.weight;
    return begins_in(own, weight) || begins_in(weight, own);
  };
  const auto rest = std::stable_partition(updates_.begin(), updates_.end(), is_gathered);
  updates_before_gather_ = static_cast<std::size_t>(rest - updates_.begin());
}

void TrainStep::balance(Posted& step) {
  enter(parts_.whereabouts, "all-reduce of the expert counts");
  for (std::size_t index = 0; index < counters_.size(); ++index) {
    const TensorView counts = counters_[index]->data;
    if (parts_.experts)
      parts_.device.copy_to_host(Lane::compute, step.own_counts[index].data(), counts.data, counts.bytes());
    parts_.rows.tensors.all_reduce(counts, ReduceOp::sum);
    parts_.device.copy_to_host(Lane::compute, step.expert_counts[index].data(), counts.data, counts.bytes());
  }
  for (const LocalStage& local : parts_.stages) {
    for (Layer* layer : local.stage.layers()) layer->end_of_step(parts_.device.ops(), clip_);
  }
  zero_counters();
}

void TrainStep::read_back(Posted& step) {
  const auto read = [&](double& to, const TensorView& from) {
    parts_.device.copy_to_host(Lane::compute, &to, from.data, sizeof to);
  };
  read(step.loss_sum, executor_.sums().loss);
  read(step.balance_loss, executor_.sums().balance);
  read(step.squares, squares_);
  read(step.overflow, executor_.sums().overflow);
  read(step.dropped, executor_.sums().dropped);
  if (logits_)
    parts_.device.copy_to_host(Lane::compute, step.largest_logits.data(), logits_->largest().data,
                               logits_->largest().bytes());
  step.done = parts_.device.record(Lane::compute);
}

void TrainStep::zero_counters() {
  for (Buffer* counter : counters_)
    parts_.device.fill_zero(Lane::compute, counter->data.data, counter->data.bytes());
}

}  // namespace caravan
