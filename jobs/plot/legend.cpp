#include "jobs/plot/legend.hpp"

#include <fmt/format.h>

#include <cmath>

namespace caravan::jobs {
namespace {

/// The last that is finite; null where there is none.
const Points::value_type* last_point(const Points& points) {
  for (std::size_t at = points.size(); at-- > 0;) {
    if (std::isfinite(points[at].second)) return &points[at];
  }
  return nullptr;
}

}  // namespace

std::string last_values(const Picture& picture, std::size_t run) {
  std::string text;
  double step = -1;
  for (const Plot& plot : picture.plots) {
    for (const Series& series : plot.series) {
      const auto* last = series.run == run ? last_point(series.points) : nullptr;
      if (!last) continue;
      // Said once for all that were measured in the same step.
      if (step >= 0 && last->first != step) text += fmt::format(" at step {}", step);
      text += fmt::format("{}{} {:.5g}", text.empty() ? "" : ", ", text_of(series.curve).title, last->second);
      step = last->first;
    }
  }
  return text.empty() ? "nothing to be drawn" : text + fmt::format(" at step {}", step);
}

}  // namespace caravan::jobs
