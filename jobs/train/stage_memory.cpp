#include "jobs/train/stage_memory.hpp"

#include <algorithm>

namespace caravan::jobs {
namespace {

StashMode mode_of(const StageSlots& slots, const BatchShape& shape) {
  if (shape.phase != Phase::train) return StashMode::inference;
  return slots.splits ? StashMode::split : StashMode::fused;
}

StashLayout layout_of(const Stage& stage, const StageSlots& slots, const BatchShape& shape) {
  return StashLayout(stage.layers(), shape, mode_of(slots, shape), stage.width(),
                     {!stage.is_first(), !stage.is_last()});
}

}  // namespace

StageMemory::StageMemory(Device& device, ModelInstance& model, const RankPlan& plan, const BatchShape& shape)
    : model_(model) {
  for (std::size_t at = 0; at < plan.slots.size(); ++at) {
    const Stage& stage = *model.stages()[at];
    stashes_.push_back(
        std::make_unique<Stash>(device, layout_of(stage, plan.slots[at], shape), plan.slots[at].sets()));
  }
}

std::vector<LocalStage> StageMemory::stages() {
  std::vector<LocalStage> stages;
  for (std::size_t at = 0; at < stashes_.size(); ++at)
    stages.push_back({*model_.stages()[at], *stashes_[at]});
  return stages;
}

std::size_t StageMemory::planned_bytes(ModelInstance& model, const RankPlan& plan, const BatchShape& shape) {
  std::size_t bytes = 0;
  for (std::size_t at = 0; at < plan.slots.size(); ++at) {
    const StageSlots& slots = plan.slots[at];
    const Stage& stage = *model.stages()[at];
    bytes += layout_of(stage, slots, shape).total_bytes(slots.sets());
    bytes += Inbox::bytes(slots.input.count + slots.gradient.count, shape.compute,
                          {shape.tokens(), stage.width()});
    bytes += StageRunner::input_bytes(shape, slots.sets());
  }
  return bytes;
}

}  // namespace caravan::jobs
