#pragma once

#include <vector>

#include "jobs/command.hpp"

namespace caravan::jobs {

/// Every verb of this build, in the order of --help.
std::vector<const Command*> verbs();

}  // namespace caravan::jobs
