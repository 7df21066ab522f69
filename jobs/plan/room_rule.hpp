#pragma once

#include "caravan/schedule.hpp"
#include "core/run/parameter_groups.hpp"
#include "jobs/job/job.hpp"

namespace caravan::jobs {

/// How a job's sharded parameters use memory on ranks with `stages` stages in all; `is_sharded`: there are
/// some. ConfigError for keys that nothing is sharded for.
RoomRule room_rule(const Job::Parallel& parallel, int stages, bool is_sharded);
/// ConfigError where a plan runs two walks at once and the job lets their layers take turns in one room.
void check_rooms(const RoomRule& rule, const Plan& plan, const Job::Parallel& parallel);

}  // namespace caravan::jobs
