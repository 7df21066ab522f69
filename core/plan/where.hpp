#pragma once

#include <string>

#include "caravan/schedule.hpp"

namespace caravan {

/// "rank 1, step 3 (2F0)": how messages name a place in a plan. Ranks count from 0, steps from 1.
std::string place_text(const Plan& plan, int rank, std::size_t step);

/// Where every rank that is not at its end stands; at most 64 of them.
std::string stuck_text(const Plan& plan, const std::vector<std::size_t>& next);

}  // namespace caravan
