#pragma once

#include <functional>

#include "caravan/comm.hpp"
#include "jobs/convert/options.hpp"

namespace caravan::jobs {

/// [every rank] The same for a destination that is known to be free, in a run's folder too.
/// `report` is called at each block.
void write_converted(
    const ConvertOptions& options, Communicator& world, std::function<void()> report = [] {});

/// [every rank] Converts, or says what would be written. ConfigError when something stands at the destination
/// already; IoError for what the source cannot give or the format cannot take. `report` is called at each
/// block; what it throws leaves nothing at the destination.
void convert(const ConvertOptions& options, Communicator& world, std::function<void()> report);

}  // namespace caravan::jobs
