#pragma once

#include <string>

#include "caravan/comm.hpp"
#include "caravan/config.hpp"
#include "caravan/data.hpp"

namespace caravan::jobs {

/// [collective] ConfigError on every rank, naming rank, keys and values, unless all ranks have the same
/// resolved job: otherwise a checkpoint could mix two models. Costs two small reductions when they have.
void agree_on_job(Communicator& world, const Config& resolved);

/// [collective] The same for data that every rank has opened for itself; IoError. `what`: "training data".
/// Returns what it is.
DataIdentity agree_on_data(Communicator& world, const DataSource& source, const std::string& what);

}  // namespace caravan::jobs
