#pragma once

#include <cstdint>

#include "caravan/mesh.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/batch_share.hpp"

namespace caravan::jobs {

/// Samples of a run are numbered in 63 bits, and so are its tokens.
inline constexpr std::int64_t kMostNumbered = std::int64_t{1} << 62;
inline constexpr const char* kSequencesOfStep = "sequences of a step";

/// The mesh that a job asks for on so many ranks: the only reader of its degrees. ConfigError for degrees
/// that do not fit, and for an axis that this version does not train on.
MeshLayout mesh_layout(const Job& job, int ranks);

/// Which sequences of a step `rank` takes. ConfigError where the job's batch sizes do not divide.
BatchShare divide_batch(const Job& job, const MeshLayout& layout, int rank);

}  // namespace caravan::jobs
