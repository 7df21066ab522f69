#pragma once

#include "core/plan/lower.hpp"
#include "jobs/setup/model_instance.hpp"
#include "jobs/state/model_source.hpp"

namespace caravan::jobs {

/// A stored model on all ranks of a mesh, with evaluation semantics: this rank has its pipeline stage of it,
/// and of that its slices. Borrows the registry and what `where` names.
class DividedModel {
 public:
  /// Reads the weights. ConfigError for fewer layers than stages, or expert ranks and no experts; IoError for
  /// weights that do not fit.
  DividedModel(const ModelSource& source, Registry& registry, const ComputeOn& where, std::int64_t positions,
               int microbatches);

  ModelInstance& instance() noexcept { return instance_; }
  /// Forwards of so many micro-batches.
  const RankPlan& plan() const noexcept { return plan_; }

 private:
  RankPlan plan_;
  ModelInstance instance_;
};

}  // namespace caravan::jobs
