#pragma once

#include <string>
#include <vector>

#include "caravan/comm.hpp"

namespace caravan::jobs {

/// [every rank] On rank 0 the texts of all ranks in order; empty elsewhere.
std::vector<std::string> gather_texts(Communicator& world, const std::string& text);

/// [every rank] The first text that is not empty, on all ranks, behind its rank when there are several.
std::string first_text(Communicator& world, const std::string& text);

/// [every rank] True on all when it is on any.
bool is_true_anywhere(Communicator& world, bool mine);

}  // namespace caravan::jobs
