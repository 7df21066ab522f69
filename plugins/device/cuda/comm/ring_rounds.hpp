#pragma once

#include <utility>
#include <vector>

namespace caravan::cuda {

/// The ways from each of `ranks` ranks to its neighbours on a ring, in rounds in none of which a rank has
/// two.
std::vector<std::vector<std::pair<int, int>>> ring_rounds(int ranks);

}  // namespace caravan::cuda
