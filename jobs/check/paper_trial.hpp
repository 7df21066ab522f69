#pragma once

#include <string>

#include "caravan/registry.hpp"

namespace caravan::jobs {

/// A rank that is not running, among so many that divide experts.
struct PaperPlace {
  int rank = 0, ranks = 1;
};

/// What goes wrong when a dry run walks through a layer, which it does in a process of its own because a
/// layer that touches tensors there ends it; empty: nothing. `keys`: of the layer, with `dim`.
std::string wrong_on_paper(Registry& registry, const std::string& layer, const Config& keys,
                           PaperPlace place = {});

}  // namespace caravan::jobs
