#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "caravan/schema.hpp"

namespace caravan {
namespace {

constexpr std::size_t kColumns = 6;
using Row = std::array<std::string, kColumns>;

std::string string_of(const char* text) {
  return text ? text : "";
}

Row row_of(const caravan_param& param) {
  const std::string default_text = !param.default_value   ? "required"
                                   : *param.default_value ? param.default_value
                                                          : "\"\"";
  return {string_of(param.name), string_of(param.type),  default_text,
          string_of(param.unit), string_of(param.range), string_of(param.doc)};
}

std::string markdown_line(const Row& row) {
  std::string out = "|";
  for (const std::string& cell : row) {
    out += ' ';
    for (const char c : cell) {
      if (c == '|') out += '\\';
      out += c;
    }
    out += " |";
  }
  return out + "\n";
}

std::string plain_line(const Row& row, const std::array<std::size_t, kColumns>& widths) {
  std::string out = " ";
  for (std::size_t column = 0; column < kColumns; ++column) {
    if (widths[column] > 0) out += fmt::format(" {:<{}}", row[column], widths[column]);
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + "\n";
}

/// Width of each column; 0 for one that is empty in every row, which is then left out.
std::array<std::size_t, kColumns> widths_of(const std::vector<Row>& rows) {
  std::array<std::size_t, kColumns> widths{};
  for (std::size_t i = 1; i < rows.size(); ++i) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      widths[column] = std::max(widths[column], rows[i][column].size());
    }
  }
  for (std::size_t column = 0; column < kColumns; ++column) {
    if (widths[column] > 0) widths[column] = std::max(widths[column], rows[0][column].size());
  }
  return widths;
}

}  // namespace

std::string describe(ParamSchema schema, TableStyle style) {
  if (schema.empty()) return style == TableStyle::markdown ? "No parameters.\n" : "  no parameters\n";
  std::vector<Row> rows = {{"name", "type", "default", "unit", "range", "meaning"}};
  for (const caravan_param& param : schema) rows.push_back(row_of(param));
  std::string out;
  if (style == TableStyle::plain) {
    const auto widths = widths_of(rows);
    for (const Row& row : rows) out += plain_line(row, widths);
    return out;
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out += markdown_line(rows[i]);
    if (i == 0) out += "|---|---|---|---|---|---|\n";
  }
  return out;
}

}  // namespace caravan
