#pragma once

#include <optional>
#include <string_view>

#include "jobs/plot/curve.hpp"

namespace caravan::jobs {

/// A line of metrics.jsonl: one JSON object with a step. Nothing for a line that is none; whatever else a
/// line holds, however deep, is passed over.
std::optional<StepValues> read_step_line(std::string_view line);

}  // namespace caravan::jobs
