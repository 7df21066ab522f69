#pragma once

#include <string>

namespace caravan::jobs {

/// What plans count in whose steps were not measured: a forward takes one unless told otherwise.
inline constexpr const char* kCostUnit = "units of cost";

/// What a picture of a plan says beside what it can see itself: bubble, makespan and peak stashes.
struct Caption {
  std::string title;             ///< "dualpipev, 4 ranks, 12 micro-batches"
  std::string unit = kCostUnit;  ///< of the timeline: "s", or units of cost
};

}  // namespace caravan::jobs
