#include "jobs/state/checkpoint_target.hpp"

#include "caravan/fingerprint.h"

namespace caravan::jobs {
namespace {

CheckpointTarget target_of(const Job& job, const MeshLayout& layout) {
  return {
      .folder = {},
      .files = job.checkpoint.one_file ? CheckpointTarget::Files::one : CheckpointTarget::Files::shards,
      .keep = {0, 0},
      .head = {.job_yaml = job.resolved.to_yaml(),
               .layout = layout.describe(),
               .creator = "caravan " CARAVAN_VERSION,
               .values = {}},
  };
}

}  // namespace

CheckpointTarget checkpoints_of(const Job& job, const MeshLayout& layout) {
  using Writing = CheckpointTarget::Writing;
  CheckpointTarget target = target_of(job, layout);
  target.folder = job.output + "/checkpoints";
  target.writing =
      job.checkpoint.enabled && job.checkpoint.async ? Writing::beside_training : Writing::at_once;
  target.keep = {job.checkpoint.keep_latest, job.checkpoint.keep_every};
  return target;
}

CheckpointTarget export_of(const Job& job, const MeshLayout& layout) {
  CheckpointTarget target = target_of(job, layout);
  target.folder = job.output + "/export";
  target.content = CheckpointContent::weights;
  target.weights = job.checkpoint.exported.dtype;
  target.writing = CheckpointTarget::Writing::at_once;
  return target;
}

}  // namespace caravan::jobs
