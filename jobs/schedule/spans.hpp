#pragma once

#include <algorithm>
#include <limits>

#include "core/plan/simulate.hpp"

namespace caravan::jobs {

/// The shortest step that takes time; infinite when none does.
inline double shortest_span(const Timeline& timeline) {
  double shortest = std::numeric_limits<double>::infinity();
  for (const std::vector<Span>& spans : timeline.spans) {
    for (const Span& span : spans)
      if (span.end > span.begin) shortest = std::min(shortest, span.end - span.begin);
  }
  return shortest;
}

}  // namespace caravan::jobs
