#pragma once

#include <memory>
#include <vector>

#include "core/run/executor.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// What the activations of a rank's stages take.
struct ActivationBytes {
  std::size_t kept = 0;     ///< from forward to backward, of all micro-batches in flight
  std::size_t working = 0;  ///< within one walk: scratch, what is made again, tokens, messages
  std::size_t shared = 0;   ///< besides, of all layers and phases together: windows between ranks
  std::size_t total() const { return kept + working; }
};

/// Where in memory the activations of the rank's stage `at` are under `plan`.
StashLayout stash_layout(const Stage& stage, const RankPlan& plan, std::size_t at, const BatchShape& shape);

/// The memory for activations of this rank's stages under a plan. Owns it; borrows device and model.
class StageMemory {
 public:
  /// Phase::evaluate keeps what a forward needs, Phase::train what the plan's backwards need.
  StageMemory(Device& device, ModelInstance& model, const RankPlan& plan, const BatchShape& shape);
  /// For an Executor, ascending.
  std::vector<LocalStage> stages();

  /// What the constructor and an Executor will take, boundaries included.
  static ActivationBytes planned(const ModelInstance& model, const RankPlan& plan, const BatchShape& shape);

 private:
  ModelInstance& model_;
  std::vector<std::unique_ptr<Stash>> stashes_;
};

}  // namespace caravan::jobs
