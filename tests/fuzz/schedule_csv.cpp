// A schedule in PyTorch's CSV, and all that a job does with it before it runs.
#include "caravan/schedule.hpp"

#include "core/plan/cells.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "core/plan/simulate.hpp"
#include "tests/fuzz/targets.hpp"

namespace caravan::fuzz {
namespace {

void lower(const Plan& plan) {
  const Plan lowered = place_communication(place_reduction(place_unshard(plan)));
  check_communication(lowered);
  simulate(lowered, {{{1, 1, 1}}, 0.5, 0.5});
}

void read(Input input) {
  const Plan plan = parse_schedule_csv(text_of(input), "plan.csv");
  if (parse_schedule_csv(to_csv(plan), "plan.csv") != plan)
    fail("what to_csv writes is read as another plan");
  const int microbatches = microbatches_of(plan);
  attempt([&] { check_communication(plan); });
  const Plan compute = merge_backward(compute_only(plan));
  const int stages = check(compute, microbatches).stages();
  peak_stashes(compute);
  lower(compute);
  lower(place_recomputation(compute, std::vector<bool>(static_cast<std::size_t>(stages), true)));
}

}  // namespace

// Stages and micro-batches are numbered below 2^20, and counted before they are compared with the file.
const Target schedule_csv{"schedule_csv", read, {64 << 20, 512}};

}  // namespace caravan::fuzz
