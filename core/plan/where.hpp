#pragma once

#include <string>

#include "caravan/schedule.hpp"

namespace caravan {

/// "rank 1, step 3 (2F0)": how messages name a place in a plan. Ranks count from 0, steps from 1.
std::string place_text(const Plan& plan, int rank, std::size_t step);

/// ConfigError unless the next step of every rank is its end: "deadlock: ", why, and where the others stand
/// (at most 64 of them).
void check_ended(const Plan& plan, const std::vector<std::size_t>& next, const char* why);

}  // namespace caravan
