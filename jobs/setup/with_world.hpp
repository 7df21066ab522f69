#pragma once

#include <functional>

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// Runs `body` on every rank that mpirun or srun started (one without a launcher), with the log set to rank
/// 0. An error on any rank ends all with its exit code, its message last.
int with_world(const std::function<int(Communicator& world)>& body);

}  // namespace caravan::jobs
