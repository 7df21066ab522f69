#pragma once

#include "caravan/comm.hpp"
#include "jobs/convert/options.hpp"

namespace caravan::jobs {

/// [every rank] The same for a destination that is known to be free, in a run's folder too.
void write_converted(const ConvertOptions& options, Communicator& world);

/// [every rank] Converts, or says what would be written. ConfigError when something stands at the destination
/// already; IoError for what the source cannot give or the format cannot take.
void convert(const ConvertOptions& options, Communicator& world);

}  // namespace caravan::jobs
