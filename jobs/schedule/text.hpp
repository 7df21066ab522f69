#pragma once

#include <string>

#include "core/plan/simulate.hpp"

namespace caravan::jobs {

enum class Ink { plain, colour };

/// How wide, and whether in colour.
struct TextStyle {
  int columns = 120;
  Ink ink = Ink::plain;
};
/// Of standard output: the terminal's width and colours (unless NO_COLOR is set); 160 plain columns when it
/// is no terminal.
TextStyle style_of_standard_output();

/// A picture in characters: a row a rank, the shortest step as one cell, "F3" for a forward of micro-batch 3
/// and "f3" for one of a later stage of the rank. Goes on below when it is too wide. Empty when it would
/// have more than 8,192 cells or 64 ranks.
std::string draw_text(const Plan& plan, const Timeline& timeline, const TextStyle& style);

}  // namespace caravan::jobs
