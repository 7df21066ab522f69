#pragma once

#include "caravan/data.hpp"
#include "caravan/mesh.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/batch_share.hpp"

namespace caravan::jobs {

/// The mesh that a job asks for on so many ranks: the only reader of its degrees. ConfigError for degrees
/// that do not fit, and for an axis that this version does not train on.
MeshLayout mesh_layout(const Job& job, int ranks);

/// ConfigError when the run would need more samples than the source has and the source does not repeat them.
void check_enough_samples(const Job& job, const BatchShare& share, const DataSource& source);

/// Which sequences of a step `rank` takes. ConfigError where the job's batch sizes do not divide.
BatchShare divide_batch(const Job& job, const MeshLayout& layout, int rank);

}  // namespace caravan::jobs
