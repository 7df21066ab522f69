#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace caravan::jobs {

/// How a terminal shows curves.
struct CanvasStyle {
  bool is_utf8 = true;      ///< dots of Braille characters and lines for frames; else ASCII
  bool is_coloured = true;  ///< a colour a curve; else several are told apart by their letters
};

/// Cells of characters, each of 2 by 4 dots. What is drawn later covers what was there.
class Canvas {
 public:
  Canvas(int columns, int rows);

  int dots_across() const noexcept { return 2 * columns_; }
  int dots_down() const noexcept { return 4 * rows_; }
  /// From one point to another, in dots from the upper left corner; what lies outside is not drawn.
  void line(double x1, double y1, double x2, double y2, std::size_t owner);
  /// A character over the dots of its cell.
  void mark(double x, double y, char sign, std::size_t owner);
  /// One row of cells. `signs_of_dots`: what stands for a cell with dots, by owner; empty: the dots.
  std::string row(int row, const CanvasStyle& style, const std::string& signs_of_dots) const;

 private:
  struct Cell {
    std::uint8_t dots = 0;
    char sign = 0;
    std::size_t owner = 0;
  };
  static std::string shown(const Cell& cell, const std::string& signs_of_dots);
  Cell* cell_at(double x, double y);
  void dot(double x, double y, std::size_t owner);

  int columns_, rows_;
  std::vector<Cell> cells_;
};

/// The text in the colour of a series, of 256 that terminals have.
std::string in_series_colour(const std::string& text, std::size_t series, bool is_coloured);

}  // namespace caravan::jobs
