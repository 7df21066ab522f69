#pragma once

#include <string>

#include "core/plan/simulate.hpp"

namespace caravan::jobs {

/// Chrome's trace event format, which Perfetto reads too: a process a rank. The timeline's unit counts as a
/// second. Steps without duration become instants.
std::string to_trace(const Plan& plan, const Timeline& timeline);

}  // namespace caravan::jobs
