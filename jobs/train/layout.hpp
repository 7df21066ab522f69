#pragma once

#include "jobs/job/job.hpp"
#include "jobs/train/batches.hpp"
#include "parallel/mesh_layout.hpp"

namespace caravan::jobs {

/// The mesh that a job asks for. ConfigError for an axis that this version does not train on.
parallel::MeshDegrees mesh_degrees(const Job::Parallel& parallel);

/// Which sequences of a step `rank` takes. ConfigError where the job's batch sizes do not divide.
BatchShare divide_batch(const Job& job, const parallel::MeshLayout& layout, int rank);

}  // namespace caravan::jobs
