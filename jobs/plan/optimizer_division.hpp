#pragma once

#include <string>

#include "caravan/mesh.hpp"
#include "caravan/optimizer.hpp"
#include "jobs/job/job.hpp"
#include "jobs/setup/model_instance.hpp"

namespace caravan::jobs {

/// Whether replicas divide what an optimizer works on: each keeps and updates a stretch of the parameters,
/// and all gather what the others updated. By what they keep such ranks are shards, whose weights stay whole
/// from their first use to the next update.
struct OptimizerDivision {
  int replicas = 1;
  int shards = 1;  ///< ranks that divide the weights of one replica
  bool by_replicas = false;
  std::string why_not{};  ///< where several replicas do not
};

/// What `parallel.divide_optimizer` comes to in this layout. ConfigError where it cannot be as it says.
/// `as_shards`: the whole model, its parameters in groups over all ranks that replicas would be shards of;
/// may be null where there is one replica.
OptimizerDivision divide_optimizer(const Job& job, const MeshLayout& layout, const Optimizer& optimizer,
                                   ModelInstance* as_shards);

/// The same ranks as those who keep parameters see them.
MeshLayout layout_of_keepers(const MeshLayout& layout, const OptimizerDivision& division);

}  // namespace caravan::jobs
