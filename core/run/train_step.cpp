#include "core/run/train_step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "caravan/check.hpp"
#include "caravan/random.hpp"

namespace caravan {

std::uint64_t step_seed(std::uint64_t seed, std::int64_t step) {
  const auto words = philox({seed, hash_name("step")}, 0, static_cast<std::uint64_t>(step));
  return (static_cast<std::uint64_t>(words[0]) << 32) | words[1];
}

TrainStep::TrainStep(Parts parts)
    : parts_(std::move(parts)),
      executor_(parts_.device, parts_.plan, parts_.stages, parts_.pipeline.tensors),
      shared_(parts_.device, parts_.parameters, parts_.pipeline.tensors, parts_.shared),
      memory_(parts_.device, 256, "step scalars"),
      squares_(memory_.take(DType::f64, {1})),
      clip_(memory_.take(DType::f32, {1})) {
  for (const auto& buffer : parts_.parameters.buffers()) {
    if (buffer->role != Buffer::Role::counter) continue;
    counters_.push_back(buffer.get());
    expert_counts_.emplace_back(static_cast<std::size_t>(buffer->shape.count()));
  }
}

double TrainStep::read(TensorView scalar) {
  double value = 0;
  parts_.device.copy_to_host(Lane::compute, &value, scalar.data, sizeof value);
  parts_.device.synchronize();
  return value;
}

StepResult TrainStep::run(std::span<const MicroBatch> batches, const Settings& settings) {
  StepResult result;
  result.valid_tokens = count_valid(batches);
  parts_.data.host.all_reduce(TensorView(&result.valid_tokens, DType::i64, {1}), ReduceOp::sum);
  CARAVAN_CHECK(result.valid_tokens > 0, ConfigError,
                fmt::format("step {}: every label is ignored (there is nothing to learn). Look at the data?",
                            settings.step));
  parts_.parameters.start_gradients(parts_.device);
  zero_counters();  // a step that failed has left its own
  executor_.zero_sums();
  executor_.run(batches,
                {step_seed(settings.seed, settings.step),
                 static_cast<float>(1.0 / static_cast<double>(result.valid_tokens)),
                 static_cast<float>(1.0 / static_cast<double>(settings.global_sequences))},
                parts_.reducer);
  if (parts_.reducer) parts_.reducer->wait_all();
  parts_.parameters.finish_gradients(parts_.device);
  shared_.sum_gradients();
  collect(result);
  check_finite(result, settings, batches);
  update(result, settings);
  balance();
  return result;
}

void TrainStep::sum_over_ranks(TensorView values) {
  parts_.pipeline.host.all_reduce(values, ReduceOp::sum);
  parts_.data.host.all_reduce(values, ReduceOp::sum);
}

void TrainStep::collect(StepResult& result) {
  double sums[2] = {read(executor_.sums().loss), read(executor_.sums().balance)};
  sum_over_ranks(TensorView(sums, DType::f64, {2}));
  result.loss = sums[0] / static_cast<double>(result.valid_tokens);
  result.balance_loss = sums[1];
  parts_.device.fill_zero(Lane::compute, squares_.data, squares_.bytes());
  for (const TensorView& piece : shared_.owned_gradients())
    parts_.device.ops().sum_of_squares({piece, squares_});
  double squares = read(squares_);
  parts_.pipeline.host.all_reduce(TensorView(&squares, DType::f64, {1}), ReduceOp::sum);
  result.grad_norm = std::sqrt(squares);
}

void TrainStep::check_finite(const StepResult& result, const Settings& settings,
                             std::span<const MicroBatch> batches) const {
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm)) return;
  std::int64_t first =
      batches.empty() ? std::numeric_limits<std::int64_t>::max() : batches.front().first_sample;
  parts_.data.host.all_reduce(TensorView(&first, DType::i64, {1}), ReduceOp::min);
  throw NumericalError(
      fmt::format("step {}: loss {} and gradient norm {} in the batch of {} sequences from sample {} on "
                  "(not finite, nothing was updated). Lower train.lr, or look at these samples?",
                  settings.step, result.loss, result.grad_norm, settings.global_sequences, first));
}

// Clip factor as PyTorch's clip_grad_norm_: max_norm / (norm + 1e-6), at most 1.
void TrainStep::update(const StepResult& result, const Settings& settings) {
  const double factor =
      settings.max_norm > 0 ? std::min(1.0, settings.max_norm / (result.grad_norm + 1e-6)) : 1.0;
  const auto clip = static_cast<float>(factor);
  parts_.device.copy_from_host(Lane::compute, clip_.data, &clip, sizeof clip);
  for (const auto& parameter : parts_.parameters.parameters()) {
    parts_.optimizer.update(parts_.device.ops(), {settings.step, settings.lr, clip_}, *parameter);
  }
}

void TrainStep::balance() {
  for (std::size_t index = 0; index < counters_.size(); ++index) {
    const TensorView counts = counters_[index]->data;
    parts_.data.tensors.all_reduce(counts, ReduceOp::sum);
    parts_.device.copy_to_host(Lane::compute, expert_counts_[index].data(), counts.data, counts.bytes());
  }
  for (const LocalStage& local : parts_.stages) {
    for (Layer* layer : local.stage.layers()) layer->end_of_step(parts_.device.ops());
  }
  zero_counters();
  if (!counters_.empty()) parts_.device.synchronize();  // for the counts
}

void TrainStep::zero_counters() {
  for (Buffer* counter : counters_)
    parts_.device.fill_zero(Lane::compute, counter->data.data, counter->data.bytes());
}

}  // namespace caravan
