#include "jobs/plan/stage_memory.hpp"

#include <algorithm>

#include "caravan/checked.hpp"

namespace caravan::jobs {
namespace {

StashMode mode_of(const StagePlaces& places, const BatchShape& shape) {
  if (shape.phase != Phase::train) return StashMode::inference;
  return places.splits ? StashMode::split : StashMode::fused;
}

}  // namespace

StashLayout stash_layout(const Stage& stage, const RankPlan& plan, std::size_t at, const BatchShape& shape) {
  const StagePlaces& places = plan.places[at];
  StageDemand demand{!stage.is_first(), !stage.is_last(), places.overlaps};
  if (!plan.recompute.empty()) demand.recompute = plan.recompute[at];
  return StashLayout(stage.layers(), shape, mode_of(places, shape), stage.width(), std::move(demand));
}

StageMemory::StageMemory(Device& device, ModelInstance& model, const RankPlan& plan, const BatchShape& shape)
    : model_(model) {
  for (std::size_t at = 0; at < plan.places.size(); ++at) {
    const Stage& stage = *model.stages()[at];
    stashes_.push_back(
        std::make_unique<Stash>(device, stash_layout(stage, plan, at, shape), plan.places[at].sets()));
  }
}

std::vector<LocalStage> StageMemory::stages() {
  std::vector<LocalStage> stages;
  for (std::size_t at = 0; at < stashes_.size(); ++at)
    stages.push_back(
        {*model_.stages()[at], *stashes_[at], model_.sharded() ? &model_.sharded()->stage(at) : nullptr});
  return stages;
}

ActivationBytes StageMemory::planned(const ModelInstance& model, const RankPlan& plan,
                                     const BatchShape& shape) {
  ActivationBytes bytes;
  for (std::size_t at = 0; at < plan.places.size(); ++at) {
    const StagePlaces& places = plan.places[at];
    const Stage& stage = *model.stages()[at];
    const StashLayout layout = stash_layout(stage, plan, at, shape);
    const std::size_t all = layout.total_bytes(places.sets());  // checked, and at least what is kept
    const std::size_t kept = static_cast<std::size_t>(places.sets()) * layout.bytes_of_microbatch();
    bytes.kept = checked_sum(bytes.kept, kept, "activations");
    bytes.shared = std::max(bytes.shared, layout.shared_bytes());
    for (const std::size_t more : {all - kept,
                                   Inbox::bytes(places.input.count + places.gradient.count, shape.compute,
                                                {shape.rows(), stage.width()}),
                                   StageRunner::input_bytes(shape, places.sets())})
      bytes.working = checked_sum(bytes.working, more, "activations");
  }
  return bytes;
}

}  // namespace caravan::jobs
