#include "jobs/inspect/table.hpp"

#include <algorithm>

#include "caravan/check.hpp"

namespace caravan::jobs {
namespace {

bool looks_like_number(const std::string& cell) {
  return cell == "inf" || cell == "nan" || cell.find_first_not_of("0123456789.,+-e %") == std::string::npos;
}

}  // namespace

Table::Table(std::vector<std::string> head) : head_(std::move(head)) {}

void Table::add(std::vector<std::string> cells, Tone tone) {
  CARAVAN_EXPECT(cells.size() == head_.size());
  rows_.push_back({std::move(cells), tone});
}

bool Table::is_right(std::size_t column) const {
  return column > 0 && std::all_of(rows_.begin(), rows_.end(),
                                   [&](const Row& row) { return looks_like_number(row.cells[column]); });
}

std::string Table::line(const Row& row, Ink ink, const std::vector<std::size_t>& widths) const {
  std::string text;
  for (std::size_t column = 0; column < head_.size(); ++column) {
    if (widths[column] == 0) continue;
    if (!text.empty()) text += "  ";
    const std::string space(widths[column] - display_width(row.cells[column]), ' ');
    text += is_right(column) ? space + row.cells[column] : row.cells[column] + space;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return painted(text, row.tone, ink) + "\n";
}

std::string Table::text(Ink ink) const {
  std::vector<std::size_t> widths(head_.size(), 0);
  for (std::size_t column = 0; column < head_.size(); ++column) {
    for (const Row& row : rows_) widths[column] = std::max(widths[column], display_width(row.cells[column]));
    if (widths[column] > 0) widths[column] = std::max(widths[column], display_width(head_[column]));
  }
  std::string text = line({head_, Tone::strong}, ink, widths);
  for (const Row& row : rows_) text += line(row, ink, widths);
  return text;
}

}  // namespace caravan::jobs
