#include "core/run/executor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t input_bytes(const BatchShape& shape, int sets) {
  const std::size_t view = static_cast<std::size_t>(shape.tokens()) * sizeof(std::int32_t) + kAlignment;
  return static_cast<std::size_t>(sets) * 3 * view + 2 * kAlignment;
}

bool finishes_weights(const Action& action) {
  return action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight;
}

/// Index of the last step of the row that adds to weight gradients, or -1.
std::ptrdiff_t last_weight_step(std::span<const Step> row) {
  std::ptrdiff_t last = -1;
  for (std::size_t index = 0; index < row.size(); ++index) {
    if (finishes_weights(row[index].action)) last = static_cast<std::ptrdiff_t>(index);
  }
  return last;
}

}  // namespace

Executor::Executor(Device& device, Stage& stage, Stash& stash)
    : device_(device),
      stage_(stage),
      stash_(stash),
      memory_(device, input_bytes(stash.layout().shape(), stash.in_flight()), "inputs"),
      forward_(forward_walk(stage.layers())),
      backward_(backward_walk(stage.layers())),
      backward_input_(backward_input_walk(stage.layers())),
      backward_weight_(backward_weight_walk(stage.layers())) {
  sums_ = {memory_.take(DType::f64, {1}), memory_.take(DType::f64, {1})};
  take_inputs(stash.in_flight());
  zero_sums();
}

void Executor::take_inputs(int sets) {
  const BatchShape& shape = stash_.layout().shape();
  for (int set = 0; set < sets; ++set) {
    inputs_.push_back({memory_.take(DType::i32, {shape.tokens()}), memory_.take(DType::i32, {shape.tokens()}),
                       memory_.take(DType::i32, {shape.sequences, shape.length})});
    runs_.push_back(Run{device_,
                        device_.ops(),
                        shape,
                        inputs_.back().tokens,
                        {},
                        {},
                        0,
                        0,
                        0,
                        1,
                        1,
                        sums_.loss,
                        sums_.balance,
                        {},
                        {}});
  }
}

void Executor::zero_sums() {
  device_.fill_zero(Lane::compute, sums_.loss.data, sums_.loss.bytes());
  device_.fill_zero(Lane::compute, sums_.balance.data, sums_.balance.bytes());
}

Run& Executor::load(const MicroBatch& batch, int set, const StepScales& scales) {
  const Inputs& inputs = inputs_[static_cast<std::size_t>(set)];
  Run& run = runs_[static_cast<std::size_t>(set)];
  auto copy = [&](std::span<const std::int32_t> from, TensorView to) {
    if (from.empty()) return TensorView{};
    CARAVAN_CHECK(
        static_cast<std::int64_t>(from.size()) == to.count(), Error,
        fmt::format("a micro-batch of {} tokens (the stage is planned for {})", from.size(), to.count()));
    device_.copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
    return to;
  };
  run.tokens = copy(batch.tokens, inputs.tokens);
  run.labels = copy(batch.labels, inputs.labels);
  run.documents = copy(batch.documents, inputs.documents);
  run.first_sample = batch.first_sample;
  run.first_position = batch.first_position;
  run.logits = batch.logits;
  run.seed = scales.seed;
  run.gradient_scale = scales.gradient_scale;
  run.sequence_scale = scales.sequence_scale;
  return run;
}

void Executor::start_announcing(GradientReducer* reducer) {
  reducer_ = reducer;
  if (!reducer) return;
  for (auto& [parameter, left] : uses_left_) left = 0;
  for (const Layer* layer : stage_.layers()) {
    for (const Parameter* parameter : layer->parameters()) ++uses_left_[parameter];
  }
}

void Executor::announce(const Layer& layer) {
  for (Parameter* parameter : layer.parameters()) {
    if (--uses_left_[parameter] == 0) reducer_->ready(parameter->grad);
  }
}

void Executor::walk(const Walk& walk, int set) {
  Cursor cursor(walk, runs_[static_cast<std::size_t>(set)], stash_, set);
  cursor.finish([&](const Visit& visit) {
    if (!reducer_) return;
    if (visit.completes_weights) announce(*stage_.layers()[visit.layer]);
    reducer_->progress();
  });
}

void Executor::act(const Action& action, std::span<const MicroBatch> batches, const StepScales& scales) {
  const int set = action.microbatch % stash_.in_flight();
  switch (action.kind) {
    case ActionKind::forward:
      load(batches[static_cast<std::size_t>(action.microbatch)], set, scales);
      return walk(forward_, set);
    case ActionKind::backward_input:
      return walk(backward_input_, set);
    case ActionKind::backward_weight:
      return walk(backward_weight_, set);
    case ActionKind::backward:
      return walk(backward_, set);
    case ActionKind::reduce_gradients:
      return;  // announced while the last backward walks
  }
}

void Executor::run(std::span<const Step> row, std::span<const MicroBatch> batches, const StepScales& scales,
                   GradientReducer* reducer) {
  const std::ptrdiff_t last = last_weight_step(row);
  for (std::size_t index = 0; index < row.size(); ++index) {
    const Action& action = row[index].action;
    CARAVAN_EXPECT(action.kind == ActionKind::reduce_gradients ||
                   static_cast<std::size_t>(action.microbatch) < batches.size());
    if (static_cast<std::ptrdiff_t>(index) == last) start_announcing(reducer);
    try {
      act(action, batches, scales);
      if (row[index].overlapped) act(*row[index].overlapped, batches, scales);
    } catch (Error& error) {
      error.add_context("action " + to_string(action));
      throw;
    }
  }
  reducer_ = nullptr;
}

void Executor::forward(const MicroBatch& batch) {
  load(batch, 0, StepScales{});
  walk(forward_, 0);
}

}  // namespace caravan
