#pragma once

#include "caravan/schedule.hpp"
#include "core/run/parameter_groups.hpp"
#include "jobs/job/job.hpp"
#include "jobs/plan/optimizer_division.hpp"

namespace caravan::jobs {

/// What rooms are for.
struct RoomNeeds {
  int stages = 1;  ///< in all
  std::int64_t microbatches = 1;
  bool is_divided = false;  ///< ranks keep stretches of parameters
  OptimizerDivision optimizer{};
};

/// How parameters in stretches use memory. ConfigError for keys that nothing is divided for, and for replicas
/// that would gather weights for each use.
RoomRule room_rule(const Job::Parallel& parallel, const RoomNeeds& needs);
/// ConfigError where a plan runs two walks at once and the job lets their layers take turns in one room.
void check_rooms(const RoomRule& rule, const Plan& plan, const Job::Parallel& parallel);

}  // namespace caravan::jobs
