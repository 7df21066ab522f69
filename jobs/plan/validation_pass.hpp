#pragma once

#include <cstdint>

#include "caravan/data.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/train_setup.hpp"

namespace caravan::jobs {

/// The data that a validation reads: the job's, with its differences. IoError.
Made<DataSource> open_validation_data(TrainSetup& setup);

/// How many micro-batches of all data ranks together one validation measures on `source`: as many as the job
/// asks for, at most one pass, and one pass where it asks for no number. Says in the log how long a pass is,
/// and what was cut. ConfigError when there is no whole micro-batch, or a pass of a source without end is
/// asked for. [uniform over ranks]
std::int64_t validation_batches(const Job& job, const DataSource& source);

}  // namespace caravan::jobs
