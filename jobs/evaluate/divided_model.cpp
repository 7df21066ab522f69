#include "jobs/evaluate/divided_model.hpp"

#include <fmt/format.h>

#include "caravan/check.hpp"
#include "jobs/forward/evaluated_config.hpp"

namespace caravan::jobs {
namespace {

/// One stage a rank.
RankPlan plan_for(const Mesh& mesh, int microbatches) {
  const int ranks = mesh.degree(MeshAxis::pp);
  Placement placement;
  for (int rank = 0; rank < ranks; ++rank) {
    placement.rank_of.push_back(rank);
    placement.stages_of.push_back({rank});
  }
  return lower_evaluation(placement, microbatches, mesh.coordinate(MeshAxis::pp));
}

StageChoice stage_on(const Mesh& mesh) {
  return {mesh.degree(MeshAxis::pp), SplitRule{}, {mesh.coordinate(MeshAxis::pp)}};
}

void check_experts(const Mesh& mesh, const ParameterStore& whole) {
  CARAVAN_CHECK(
      mesh.degree(MeshAxis::ep) == 1 || whole.count(ParameterKind::expert) > 0, ConfigError,
      fmt::format(
          "--expert {} with a model without experts (there is nothing that it would divide). --expert 1?",
          mesh.degree(MeshAxis::ep)));
}

}  // namespace

DividedModel::DividedModel(const ModelSource& source, Registry& registry, const ComputeOn& where,
                           std::int64_t positions, int microbatches)
    : plan_(plan_for(*where.mesh, microbatches)),
      instance_(registry, where, source.plugin, without_noise(evaluated(source.model)), positions,
                stage_on(*where.mesh)) {
  ModelInstance stored(registry, where, source.plugin, evaluated(source.model),
                       positions);  // never allocated
  check_experts(*where.mesh, stored.parameters());
  instance_.allocate(ParameterStore::Content::weights, 0);
  load_weights(source, *where.device, instance_.parameters(), stored.parameters());
}

}  // namespace caravan::jobs
