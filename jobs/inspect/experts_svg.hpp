#pragma once

#include <string>

#include "jobs/inspect/experts.hpp"

namespace caravan::jobs {

/// Maps with a row a layer and a column an expert: bias, tokens (where known) and size of the weights.
std::string draw_experts_svg(const std::string& path, const Experts& experts);

}  // namespace caravan::jobs
