#pragma once

#include <string>
#include <vector>

#include "caravan/device.hpp"

namespace caravan::jobs {

/// What a rank's device did, as JSON of the Trace Event Format, which Perfetto and chrome://tracing draw: a
/// row of what computes, one of exchanges, and one of the exchanges' parts that nothing hides. Microseconds
/// from the first activity. `activities` by start.
std::string as_trace(const std::vector<DeviceActivity>& activities, int rank);

/// Makes the folder where it is missing. IoError.
void prepare_traces(const std::string& folder);
/// folder/rank-RANK.json, replaced where it exists. IoError.
void write_trace(const std::string& folder, int rank, const std::vector<DeviceActivity>& activities);

}  // namespace caravan::jobs
