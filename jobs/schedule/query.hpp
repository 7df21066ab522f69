#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/plan/simulate.hpp"
#include "jobs/schedule/caption.hpp"

namespace caravan::jobs {

/// Costs as the command line gives them.
struct CostQuery {
  ActionCosts actions;
  double overlap = 0;
};
/// "F=1", "I=0.9", "W=1.1", "comm=0.1", "overlap=0.5". ConfigError with what is known.
CostQuery parse_costs(const std::vector<std::string>& assignments);

/// What `caravan schedule` is asked for.
struct ScheduleQuery {
  std::string name;
  int ranks = 0, microbatches = 0;   ///< 0: as the file has it
  int stages_per_rank = 0;           ///< 0: what is usual for the schedule
  std::vector<std::string> options;  ///< "key=value" of the schedule itself, checked by its own table
  std::string csv;                   ///< the same as the option file of the schedule "csv"
  bool lowered = false;              ///< with gathered weights, reduction, sends and receives
  bool recomputed = false;
  CostQuery costs;
};

/// A plan that check() has proved, and what to write above it.
struct CheckedSchedule {
  Plan plan;
  Caption caption;
};
/// Finds the plugin, builds, checks, lowers. ConfigError and PluginError.
CheckedSchedule make_schedule(const ScheduleQuery& query);
Timeline simulate(const Plan& plan, const CostQuery& costs);

}  // namespace caravan::jobs
