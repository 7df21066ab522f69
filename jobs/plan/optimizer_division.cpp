#include "jobs/plan/optimizer_division.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "caravan/check.hpp"
#include "jobs/plan/stretches.hpp"

namespace caravan::jobs {
namespace {

void check_wanted(const OptimizerDivision& division, const Job& job, const Optimizer& optimizer) {
  CARAVAN_CHECK(division.replicas > 1, ConfigError,
                "parallel.divide_optimizer=true with data_replicate=1 (there are no replicas that would "
                "divide it). Leave it out?");
  CARAVAN_CHECK(
      optimizer.is_elementwise(), ConfigError,
      fmt::format("parallel.divide_optimizer=true with optimizer.name={} (its rule needs whole parameters, "
                  "and each of {} replicas would keep a stretch of them). Leave it out?",
                  job.optimizer_name, division.replicas));
}

/// Why they do not unless they are told to; empty: they do.
std::string why_not(const OptimizerDivision& division, const Job& job, const Optimizer& optimizer,
                    ModelInstance& as_shards, int pipeline) {
  if (job.parallel.divide_optimizer == "false") return "parallel.divide_optimizer=false";
  if (!optimizer.is_elementwise()) return job.optimizer_name + " needs whole parameters";
  if (division.shards > 1) return fmt::format("{} ranks of a replica divide it already", division.shards);
  const std::string layer = layer_without_stretches(as_shards, division.replicas, pipeline);
  return layer.empty() ? "" : fmt::format("the last would have nothing of {}", layer);
}

}  // namespace

OptimizerDivision divide_optimizer(const Job& job, const MeshLayout& layout, const Optimizer& optimizer,
                                   ModelInstance* as_shards) {
  OptimizerDivision division{layout.degree(MeshAxis::dp_replicate), layout.degree(MeshAxis::fsdp)};
  if (as_shards && as_shards->parameters().count(ParameterKind::expert) > 0)
    division.shards = std::max(division.shards, layout.degree(MeshAxis::efsdp));
  if (job.parallel.divide_optimizer == "true") {
    check_wanted(division, job, optimizer);
    division.by_replicas = true;
    return division;
  }
  if (!as_shards) return division;
  division.why_not = why_not(division, job, optimizer, *as_shards, layout.degree(MeshAxis::pp));
  division.by_replicas = division.why_not.empty();
  return division;
}

MeshLayout layout_of_keepers(const MeshLayout& layout, const OptimizerDivision& division) {
  MeshDegrees degrees = layout.degrees();
  if (division.by_replicas) degrees.dp_shard *= std::exchange(degrees.dp_replicate, 1);
  return MeshLayout(degrees, layout.ranks());
}

}  // namespace caravan::jobs
