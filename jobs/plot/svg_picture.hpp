#pragma once

#include <string>

#include "jobs/plot/picture.hpp"

namespace caravan::jobs {

/// One panel a plot, below each other, under a legend. However many steps there are, it stays small.
std::string draw_svg(const Picture& picture);

}  // namespace caravan::jobs
