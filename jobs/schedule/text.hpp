#pragma once

#include <string>

#include "core/plan/simulate.hpp"
#include "jobs/drawing/terminal.hpp"
#include "jobs/schedule/caption.hpp"

namespace caravan::jobs {

/// A picture in characters: a row a rank, the shortest step as one cell, "F3" for a forward of micro-batch 3
/// and "f3" for one of a later stage of the rank. Goes on below when it is too wide. Empty when it would
/// have more than 8,192 cells or 64 ranks.
std::string draw_text(const Plan& plan, const Timeline& timeline, const Caption& caption,
                      const TextStyle& style);

}  // namespace caravan::jobs
