#include "jobs/schedule/step_details.hpp"

#include <algorithm>

namespace caravan::jobs {

std::vector<std::size_t> rows_of(const std::vector<StepDetails::Item>& items) {
  std::vector<std::size_t> rows;
  std::vector<double> ends;  // of each row
  for (const StepDetails::Item& item : items) {
    auto row = std::find_if(ends.begin(), ends.end(), [&](double end) { return end <= item.span.begin; });
    if (row == ends.end()) row = ends.insert(row, 0);
    *row = item.span.end;
    rows.push_back(static_cast<std::size_t>(row - ends.begin()));
  }
  return rows;
}

}  // namespace caravan::jobs
