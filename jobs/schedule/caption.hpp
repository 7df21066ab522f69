#pragma once

#include <string>

namespace caravan::jobs {

/// What a picture of a plan says beside what it can see itself: bubble, makespan and peak stashes.
struct Caption {
  std::string title;  ///< "dualpipev, 4 ranks, 12 micro-batches"
  std::string unit;   ///< of the timeline: "s", or empty for units of cost
};

}  // namespace caravan::jobs
