#include "core/run/pipeline_stage.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "core/run/message_tags.hpp"

namespace caravan {
namespace {

int place_of(const PlaceMap& map, int microbatch) {
  return map.of[static_cast<std::size_t>(microbatch)];
}

DType compute_of(const LocalStage& local) {
  return local.stash.layout().shape().compute;
}

Shape boundary_shape(const LocalStage& local) {
  return {local.stash.layout().shape().rows(), local.stage.width()};
}

}  // namespace

PipelineStage::PipelineStage(Device& device, const LocalStage& local, const StepSums& sums,
                             const StagePlaces& places, const Neighbours& neighbours)
    : runner_(device, local.stage, local.stash, sums, local.groups),
      stash_(local.stash),
      places_(places),
      neighbours_(neighbours),
      inputs_(device, places.input.count, compute_of(local), boundary_shape(local)),
      gradients_(device, places.gradient.count, compute_of(local), boundary_shape(local)),
      outputs_(stash_.in_flight()),
      input_gradients_(stash_.in_flight()) {
  CARAVAN_CHECK(
      places.sets() <= stash_.in_flight(), Error,
      fmt::format("a plan that keeps {} micro-batches on a stash of {}", places.sets(), stash_.in_flight()));
}

TensorView PipelineStage::output(int microbatch) const {
  return stash_.output(places_.forward_set(microbatch));
}

TensorView PipelineStage::input_gradient(int microbatch) const {
  return stash_.input_gradient(place_of(places_.stash, microbatch));
}

TensorView PipelineStage::input_place(int microbatch) const {
  const int place = place_of(places_.input, microbatch);
  return place == kNoPlace ? TensorView{} : inputs_.at(place);
}

TensorView PipelineStage::gradient_place(int microbatch) const {
  const int place = place_of(places_.gradient, microbatch);
  return place == kNoPlace ? TensorView{} : gradients_.at(place);
}

void PipelineStage::wait_for_inputs(const Action& action) {
  const bool forward = action.kind == ActionKind::forward;
  const bool backward = action.kind == ActionKind::backward || action.kind == ActionKind::backward_input;
  if (!forward && !backward) return;
  const int place = place_of(forward ? places_.input : places_.gradient, action.microbatch);
  if (place != kNoPlace) (forward ? inputs_ : gradients_).wait(place, neighbours_.group);
}

std::optional<Cursor> PipelineStage::begin(const Action& action, std::span<const MicroBatch> batches,
                                           const StepScales& scales, WalkObserver* observer) {
  if (action.kind == ActionKind::forward || action.kind == ActionKind::recompute)
    return begin_forward(action, batches, scales, observer);
  return runner_.cursor(action.kind, place_of(places_.stash, action.microbatch), observer);
}

std::optional<Cursor> PipelineStage::begin_forward(const Action& action, std::span<const MicroBatch> batches,
                                                   const StepScales& scales, WalkObserver* observer) {
  const bool again = action.kind == ActionKind::recompute;
  const int microbatch = action.microbatch;
  const int set = again ? place_of(places_.stash, microbatch) : places_.forward_set(microbatch);
  if (set == kNoPlace) return std::nullopt;
  outputs_.wait(set, neighbours_.group);
  input_gradients_.wait(set, neighbours_.group);
  const Pass pass = again && !places_.is_last ? Pass::stage_recomputation : Pass::first;
  runner_.load(batches[static_cast<std::size_t>(microbatch)], set, scales, pass);
  stash_.bind(set, input_place(microbatch), gradient_place(microbatch));
  return runner_.cursor(ActionKind::forward, set, observer);
}

void PipelineStage::communicate(const Action& action) {
  const int microbatch = action.microbatch;
  Communicator& group = neighbours_.group;
  switch (action.kind) {
    case ActionKind::send_forward:
      return outputs_.post(places_.forward_set(microbatch), output(microbatch), group, neighbours_.after,
                           kForwardTag);
    case ActionKind::send_backward:
      return input_gradients_.post(place_of(places_.stash, microbatch), input_gradient(microbatch), group,
                                   neighbours_.before, kBackwardTag);
    case ActionKind::receive_forward:
      return inputs_.post(place_of(places_.input, microbatch), group, neighbours_.before, kForwardTag);
    case ActionKind::receive_backward:
      return gradients_.post(place_of(places_.gradient, microbatch), group, neighbours_.after, kBackwardTag);
    default:
      CARAVAN_EXPECT(false);
  }
}

void PipelineStage::progress() {
  Communicator& group = neighbours_.group;
  if (outputs_.progress(group) || input_gradients_.progress(group) || inputs_.progress(group)) return;
  gradients_.progress(group);
}

void PipelineStage::finish_sends() {
  outputs_.wait_all(neighbours_.group);
  input_gradients_.wait_all(neighbours_.group);
}

}  // namespace caravan
