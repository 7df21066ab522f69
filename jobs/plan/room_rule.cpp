#include "jobs/plan/room_rule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"

namespace caravan::jobs {
namespace {

void check_sharded(bool may_be_sharded, bool is_usual, const std::string& key) {
  CARAVAN_CHECK(
      may_be_sharded || is_usual, ConfigError,
      fmt::format("parallel.{} with parallel.data_shard=1 (no parameter is sharded). Leave it out, or "
                  "set parallel.data_shard?",
                  key));
}

}  // namespace

RoomRule room_rule(const Job::Parallel& parallel, int stages, bool is_sharded) {
  // A degree that takes what is left may leave one rank.
  const bool may_be_sharded = is_sharded || parallel.data_shard != 1;
  check_sharded(may_be_sharded, parallel.reshard == "auto", "reshard=" + parallel.reshard);
  check_sharded(may_be_sharded, parallel.prefetch == 1, fmt::format("prefetch={}", parallel.prefetch));
  RoomRule rule;
  rule.prefetch = narrow<int>({"parallel.prefetch", parallel.prefetch});
  rule.weights_take_turns = parallel.reshard == "always" || (parallel.reshard == "auto" && stages == 1);
  rule.gradients_take_turns = stages == 1;
  rule.gathers = rule.weights_take_turns || stages == 1 ? GatherWhen::used : GatherWhen::planned;
  CARAVAN_CHECK(
      rule.gathers == GatherWhen::used || parallel.prefetch == 1, ConfigError,
      fmt::format(
          "parallel.prefetch={} with {} stages and parallel.reshard={} (the plan gathers each stage before "
          "its first use). Leave it out, or reshard: always?",
          parallel.prefetch, stages, parallel.reshard));
  return rule;
}

void check_rooms(const RoomRule& rule, const Plan& plan, const Job::Parallel& parallel) {
  const auto overlaps_in = [](const std::vector<Step>& row) {
    return std::any_of(row.begin(), row.end(), [](const Step& step) { return step.overlapped.has_value(); });
  };
  const bool overlaps = std::any_of(plan.steps.begin(), plan.steps.end(), overlaps_in);
  CARAVAN_CHECK(
      !overlaps || !rule.weights_take_turns, ConfigError,
      fmt::format("parallel.reshard={} with parallel.schedule={} (it runs a forward between the layers of a "
                  "backward, and both would need the rooms of gathered weights). reshard: never?",
                  parallel.reshard, parallel.schedule));
}

}  // namespace caravan::jobs
