#pragma once

#include <string>
#include <vector>

#include "jobs/drawing/tone.hpp"

namespace caravan::jobs {

/// Rows under a head, every column as wide as its widest cell; the first column and words to the left,
/// numbers to the right. A column without a cell is left out. Cells are printable.
class Table {
 public:
  explicit Table(std::vector<std::string> head);

  void add(std::vector<std::string> cells, Tone tone = Tone::plain);
  std::string text(Ink ink) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    Tone tone;
  };
  std::string line(const Row& row, Ink ink, const std::vector<std::size_t>& widths) const;
  bool is_right(std::size_t column) const;

  std::vector<std::string> head_;
  std::vector<Row> rows_;
};

}  // namespace caravan::jobs
