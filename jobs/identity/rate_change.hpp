#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "jobs/identity/differences.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// The length of the learning-rate schedule that a checkpoint's job had. ConfigError when that job cannot be
/// read.
std::int64_t schedule_steps_of(const std::string& stored_job);

/// What becomes of the learning rate where a run goes on.
struct RateChange {
  std::optional<Difference> said;  ///< both rates of the next step, where they differ
  /// Where the next rate is above both the last one and what it would have been, and the warm-up is not the
  /// reason: both, and how to avoid it.
  std::string warm_restart;
  std::string frozen;  ///< where the job keeps the length of the schedule: which
};

/// Of a run that goes on with `now` from a checkpoint of `step` that carries `stored_job`. Nothing when that
/// job cannot be read.
RateChange rate_change(const std::string& stored_job, const Job& now, std::int64_t step);

/// Of a run that begins anew with the weights of that checkpoint: the last rate there, the first here and the
/// highest. Empty when that job cannot be read.
std::string rates_begun_anew(const std::string& stored_job, const Job& now, std::int64_t step);

}  // namespace caravan::jobs
