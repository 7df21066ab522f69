#include "jobs/plot/canvas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace caravan::jobs {
namespace {

/// By column and row in a cell. Source: Unicode, block Braille Patterns.
constexpr std::uint8_t kDots[2][4] = {{0x01, 0x02, 0x04, 0x40}, {0x08, 0x10, 0x20, 0x80}};

/// U+2800 and its dots in UTF-8.
std::string braille(std::uint8_t dots) {
  return {static_cast<char>(0xE2), static_cast<char>(0xA0 | (dots >> 6)),
          static_cast<char>(0x80 | (dots & 0x3F))};
}

}  // namespace

std::string in_series_colour(const std::string& text, std::size_t series, bool is_coloured) {
  // The nearest to those of `series_colour`; seen on black and on white.
  static constexpr std::array<int, 8> kColours = {68, 172, 71, 167, 97, 73, 244, 175};
  if (!is_coloured) return text;
  return fmt::format("\033[38;5;{}m{}\033[0m", kColours[series % kColours.size()], text);
}

Canvas::Canvas(int columns, int rows)
    : columns_(columns), rows_(rows), cells_(static_cast<std::size_t>(columns * rows)) {}

Canvas::Cell* Canvas::cell_at(double x, double y) {
  if (!(x >= 0 && x < dots_across() && y >= 0 && y < dots_down())) return nullptr;
  return &cells_[static_cast<std::size_t>(static_cast<int>(y) / 4 * columns_ + static_cast<int>(x) / 2)];
}

void Canvas::dot(double x, double y, std::size_t owner) {
  Cell* cell = cell_at(x, y);
  if (!cell || cell->sign != 0) return;
  cell->dots |= kDots[static_cast<int>(x) % 2][static_cast<int>(y) % 4];
  cell->owner = owner;
}

void Canvas::line(double x1, double y1, double x2, double y2, std::size_t owner) {
  const double length = std::max(std::abs(x2 - x1), std::abs(y2 - y1));
  const int steps = static_cast<int>(std::ceil(std::min(length, 1e5)));
  for (int i = 0; i <= steps; ++i) {
    const double share = steps == 0 ? 0 : static_cast<double>(i) / steps;
    dot(std::round(x1 + share * (x2 - x1)), std::round(y1 + share * (y2 - y1)), owner);
  }
}

void Canvas::mark(double x, double y, char sign, std::size_t owner) {
  if (Cell* cell = cell_at(std::round(x), std::round(y))) *cell = {0, sign, owner};
}

std::string Canvas::shown(const Cell& cell, const std::string& signs_of_dots) {
  if (cell.sign != 0) return {cell.sign};
  if (cell.dots == 0) return " ";
  return signs_of_dots.empty() ? braille(cell.dots) : std::string(1, signs_of_dots.at(cell.owner));
}

std::string Canvas::row(int row, const CanvasStyle& style, const std::string& signs_of_dots) const {
  std::string text, stretch;  // of cells in one colour
  std::size_t owner = 0;
  for (int column = 0; column < columns_; ++column) {
    const Cell& cell = cells_[static_cast<std::size_t>(row * columns_ + column)];
    const bool is_empty = cell.dots == 0 && cell.sign == 0;
    if ((is_empty || cell.owner != owner) && !stretch.empty())
      text += in_series_colour(std::exchange(stretch, ""), owner, style.is_coloured);
    owner = cell.owner;
    (is_empty ? text : stretch) += shown(cell, signs_of_dots);
  }
  return stretch.empty() ? text : text + in_series_colour(stretch, owner, style.is_coloured);
}

}  // namespace caravan::jobs
