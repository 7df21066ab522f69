#pragma once

#include <string>

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// [every rank] The one model that rank 0 finds at SRC: a run may commit a step between the looks of two
/// ranks, and blocks of two checkpoints would mix. IoError on rank 0 for what is no model, or two.
std::string agreed_source(const std::string& source, Communicator& world);

}  // namespace caravan::jobs
