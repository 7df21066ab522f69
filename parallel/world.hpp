#pragma once

#include <memory>

#include "caravan/comm.hpp"

namespace caravan::parallel {

/// [collective over all ranks of the job] The group of all ranks, its own communication context.
/// MPI must be running (MpiSession). With one rank it is the single communicator, which never calls MPI.
std::unique_ptr<Communicator> make_world_communicator();

}  // namespace caravan::parallel
