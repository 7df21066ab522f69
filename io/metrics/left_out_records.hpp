#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace caravan::io {

/// What earlier starts of a run wrote of steps from `first_step` on with sinks of this room that are not
/// among `sinks` is moved, or declared void, as those sinks would when they go on: who reads the files must
/// not take steps that were done again for the run's. What cannot be moved is a warning.
void retire_left_out(const std::string& folder, std::int64_t first_step, std::span<const std::string> sinks);

}  // namespace caravan::io
