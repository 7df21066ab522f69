#pragma once

#include <vector>

#include "caravan/optimizer.hpp"

namespace caravan {

/// What an optimizer updates on this rank: every parameter, or where it takes elements one by one, runs of
/// fragments of one kind and rule that lie together in every arena; nothing that is frozen. A model has
/// hundreds of parameters and a launch for each leaves a GPU idle between them. Gaps of alignment are zero
/// and stay so.
std::vector<UpdateGroup> update_groups(const ParameterStore& store, const Optimizer& optimizer);

}  // namespace caravan
