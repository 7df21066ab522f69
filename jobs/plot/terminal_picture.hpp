#pragma once

#include <string>

#include "jobs/plot/canvas.hpp"
#include "jobs/plot/picture.hpp"

namespace caravan::jobs {

struct TerminalSize {
  int columns = 80, rows = 20;
};

/// The picture in lines of at most so many columns; of about so many rows, but each plot has at least five
/// for its curves.
std::string draw_text(const Picture& picture, const TerminalSize& size, const CanvasStyle& style);

}  // namespace caravan::jobs
