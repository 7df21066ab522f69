#include "jobs/plot/csv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace caravan::jobs {
namespace {

std::string field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::vector<Curve> columns_of(const Picture& picture) {
  std::vector<Curve> columns;
  for (const Plot& plot : picture.plots) {
    for (const Series& series : plot.series) {
      if (std::find(columns.begin(), columns.end(), series.curve) == columns.end())
        columns.push_back(series.curve);
    }
  }
  return columns;
}

/// The curves of one run, by step.
std::string rows_of(const Picture& picture, std::size_t run, const std::vector<Curve>& columns) {
  std::map<double, std::vector<std::string>> rows;
  for (const Plot& plot : picture.plots) {
    for (const Series& series : plot.series) {
      const auto column = std::find(columns.begin(), columns.end(), series.curve) - columns.begin();
      for (const auto& [step, value] : series.points) {
        if (series.run != run) break;
        auto& row = rows.try_emplace(step, columns.size()).first->second;
        row.at(static_cast<std::size_t>(column)) = std::isfinite(value) ? fmt::format("{}", value) : "nan";
      }
    }
  }
  std::string text;
  for (const auto& [step, values] : rows) {
    text += fmt::format("{},{:.0f}", field(picture.runs[run]), step);
    for (const std::string& value : values) text += "," + value;
    text += "\n";
  }
  return text;
}

}  // namespace

std::string draw_csv(const Picture& picture) {
  const std::vector<Curve> columns = columns_of(picture);
  std::string text = "run,step";
  for (const Curve curve : columns) text += fmt::format(",{}", text_of(curve).key);
  text += "\n";
  for (std::size_t run = 0; run < picture.runs.size(); ++run) text += rows_of(picture, run, columns);
  return text;
}

}  // namespace caravan::jobs
