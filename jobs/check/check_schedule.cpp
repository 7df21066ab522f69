#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "caravan/error.hpp"
#include "caravan/host.hpp"
#include "caravan/schedule.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "jobs/check/check_component.hpp"

namespace caravan::jobs {
namespace {

struct Size {
  int ranks, microbatches;
};
constexpr Size kSizes[] = {{1, 1}, {2, 2}, {2, 4},  {2, 5},  {3, 6},
                           {4, 4}, {4, 8}, {4, 16}, {8, 16}, {16, 64}};

/// Proves one plan; false where the schedule refuses the size.
bool prove(const Schedule& schedule, const PlanRequest& request, Findings& findings) {
  const std::string what = fmt::format("{} ranks, {} micro-batches, {} stages a rank", request.ranks,
                                       request.microbatches, request.stages_per_rank);
  Plan plan;
  try {
    plan = schedule.build(request);
  } catch (const ConfigError& refused) {
    return false;
  }
  try {
    check(plan, request.microbatches);
    check_communication(place_communication(plan));
    findings.add(schedule.build(request) == plan,
                 what + ": a training step that comes to its end, the same each time",
                 "another plan at the second call");
  } catch (const ConfigError& error) {
    findings.add(false, what + ": a training step that comes to its end", error.message());
  }
  return true;
}

}  // namespace

void check_schedule(const CheckRequest& request, Findings& findings) {
  const auto schedule =
      request.registry.create<Schedule>(request.name, Host::of(request.registry), request.keys);
  const StagesPerRank stages = schedule->stages_per_rank();
  bool is_any = false;
  for (const int each : std::set{stages.least, stages.usual, std::min(stages.most, stages.usual + 1)}) {
    for (const Size& size : kSizes)
      is_any = prove(*schedule, {size.ranks, size.microbatches, each}, findings) || is_any;
  }
  findings.add(is_any, "some size is built", "every size that was tried is refused");
}

}  // namespace caravan::jobs
