#pragma once

#include <string>
#include <vector>

#include "caravan/registry.hpp"
#include "caravan/schedule.hpp"

namespace caravan::testing {

/// A schedule of the build tree by name; `file` is for csv.
Made<Schedule> schedule(const std::string& name, const std::string& file = "");

/// The plan of a schedule that takes no parameter.
Plan plan_of(const std::string& name, const PlanRequest& request);

/// "0F0,0F1": the steps of a row with commas between.
std::string text_of(const std::vector<Step>& row);

/// Every schedule but csv.
const std::vector<std::string>& schedule_names();

}  // namespace caravan::testing
