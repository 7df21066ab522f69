#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/data.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/batch_share.hpp"

namespace caravan::jobs {

/// Of a run from its first step to its last. ConfigError when they cannot be numbered.
std::int64_t samples_of_run(const Job& job, const BatchShare& share);

/// ConfigError when the run would need more samples than a part of the source has and does not repeat.
void check_enough_samples(const Job& job, const BatchShare& share, const DataSource& source);

/// How often so many samples of a part are all of it; 0 where it has no end.
double passes_of(const PartUse& use);

/// What the first `samples` samples take of the data, in a line, or of a mix in one more for each part:
/// "24 samples, 0.6 passes over 40".
std::vector<std::string> describe_use(const DataSource& source, std::int64_t samples);

}  // namespace caravan::jobs
