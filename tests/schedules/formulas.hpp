#pragma once

#include <string>

#include "caravan/schedule.hpp"

namespace caravan::testing {

/// Whether the schedule's constraint on micro-batches holds.
bool is_legal(const std::string& schedule, const PlanRequest& request);

/// Time without work of every rank, from the first action of all ranks to the last, at F = I = W = 1 for a
/// stage, as the schedules' docstrings state it.
int bubble(const std::string& schedule, const PlanRequest& request);

/// Most micro-batches of a stage that `rank` keeps at once; for the V schedules but dualpipev, which do not
/// state it rank by rank, the most of any rank.
int peak(const std::string& schedule, const PlanRequest& request, int rank);

/// Whether `peak` holds of each rank, and not of their maximum alone.
bool peak_is_by_rank(const std::string& schedule);

}  // namespace caravan::testing
