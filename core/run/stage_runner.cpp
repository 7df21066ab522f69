#include "core/run/stage_runner.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan {

StepSums::StepSums(Arena& arena)
    : loss(arena.take(DType::f64, {1})),
      balance(arena.take(DType::f64, {1})),
      overflow(arena.take(DType::f64, {1})),
      dropped(arena.take(DType::f64, {1})) {}

std::int64_t count_valid(std::span<const MicroBatch> batches) {
  std::int64_t valid = 0;
  for (const MicroBatch& batch : batches) {
    valid += std::count_if(batch.labels.begin(), batch.labels.end(),
                           [](auto label) { return label != kIgnoredLabel; });
  }
  return valid;
}

std::size_t StageRunner::input_bytes(const BatchShape& shape, int sets) {
  const auto view = [](std::int64_t tokens) {
    return static_cast<std::size_t>(tokens) * sizeof(std::int32_t) + Arena::kAlignment;
  };
  return static_cast<std::size_t>(sets) *
         (2 * view(shape.tokens()) + view(shape.sequences * shape.sequence_length()));
}

StageRunner::StageRunner(Device& device, Stage& stage, Stash& stash, const StepSums& sums,
                         const StageGroups* groups)
    : device_(device),
      stage_(stage),
      stash_(stash),
      memory_(device, input_bytes(stash.layout().shape(), stash.in_flight()), "inputs"),
      walks_(stage.layers(), stash.layout().recompute(), stash.layout().separates(), groups) {
  const BatchShape& shape = stash_.layout().shape();
  for (int set = 0; set < stash.in_flight(); ++set) {
    inputs_.push_back({memory_.take(DType::i32, {shape.tokens()}), memory_.take(DType::i32, {shape.tokens()}),
                       memory_.take(DType::i32, {shape.sequences, shape.sequence_length()})});
    runs_.push_back({.device = device_,
                     .ops = device_.ops(),
                     .shape = shape,
                     .tokens = {},
                     .labels = {},
                     .documents = {},
                     .token_map = {},
                     .loss_sum = sums.loss,
                     .balance_loss = sums.balance,
                     .overflow = sums.overflow,
                     .dropped = sums.dropped,
                     .logits = {},
                     .rows = {},
                     .pending = {}});
  }
}

TensorView StageRunner::copy(std::span<const std::int32_t> from, TensorView to) {
  if (from.empty()) return {};
  CARAVAN_CHECK(
      static_cast<std::int64_t>(from.size()) == to.count(), Error,
      fmt::format("a micro-batch of {} tokens (the stage is planned for {})", from.size(), to.count()));
  device_.copy_from_host(Lane::compute, to.data, from.data(), to.bytes());
  return to;
}

void StageRunner::load(const MicroBatch& batch, int set, const StepScales& scales, Pass pass) {
  const Inputs& inputs = inputs_[static_cast<std::size_t>(set)];
  Run& run = runs_[static_cast<std::size_t>(set)];
  CARAVAN_CHECK(batch.rows.tokens.empty() || batch.rows.tokens.count() == stash_.layout().shape().tokens(),
                Error,
                fmt::format("a decode step of {} rows (the stage is planned for {})",
                            batch.rows.tokens.count(), stash_.layout().shape().tokens()));
  run.tokens = batch.rows.tokens.empty() ? copy(batch.tokens, inputs.tokens) : batch.rows.tokens;
  run.rows = batch.rows;
  run.labels = copy(batch.labels, inputs.labels);
  run.documents = copy(batch.documents, inputs.documents);
  const std::int64_t length = stash_.layout().shape().length;
  CARAVAN_CHECK(batch.token_map.length() == length, Error,
                fmt::format("a micro-batch of sequences of {} tokens (the stage is planned for {})",
                            batch.token_map.length(), length));
  run.token_map = batch.token_map;
  run.logits = batch.logits;
  run.seed = scales.seed;
  run.gradient_scale = scales.gradient_scale;
  run.sequence_scale = scales.sequence_scale;
  run.pass = pass;
}

Cursor StageRunner::cursor(ActionKind kind, int set, WalkObserver* observer) {
  return Cursor(walks_.next(kind, set), runs_[static_cast<std::size_t>(set)], stash_, set, observer,
                stage_.names());
}

}  // namespace caravan
