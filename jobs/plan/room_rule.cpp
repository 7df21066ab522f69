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

/// Each gather would go to all replicas.
void check_kept(const OptimizerDivision& division, bool weights_take_turns, const std::string& reshard) {
  CARAVAN_CHECK(
      !division.by_replicas || !weights_take_turns, ConfigError,
      fmt::format(
          "parallel.divide_optimizer=true with parallel.reshard={} (weights would be gathered from {} "
          "ranks, which are {} replicas of {} shards, for every use). reshard: never?",
          reshard, division.replicas * division.shards, division.replicas, division.shards));
}

/// Replicas that divide the optimizer sum gradients of several micro-batches at once, as others do.
void choose_sums(RoomRule& rule, const RoomNeeds& needs) {
  const bool at_once = needs.optimizer.by_replicas && needs.microbatches > 1;
  rule.gradients_take_turns = needs.stages == 1 && !at_once;
  rule.sums_in_last_walk = needs.stages == 1 && at_once;
}

}  // namespace

RoomRule room_rule(const Job::Parallel& parallel, const RoomNeeds& needs) {
  const int stages = needs.stages;
  const bool divides_weights =
      needs.optimizer.shards > 1 || (needs.is_divided && !needs.optimizer.by_replicas);
  // A degree that takes what is left may leave one rank.
  const bool may_leave_one = parallel.data_shard != 1;
  check_sharded(divides_weights || may_leave_one, parallel.reshard == "auto", "reshard=" + parallel.reshard);
  check_sharded(needs.is_divided || may_leave_one, parallel.prefetch == 1,
                fmt::format("prefetch={}", parallel.prefetch));
  RoomRule rule;
  rule.prefetch = narrow<int>({"parallel.prefetch", parallel.prefetch});
  rule.weights_take_turns =
      divides_weights && (parallel.reshard == "always" || (parallel.reshard == "auto" && stages == 1));
  check_kept(needs.optimizer, rule.weights_take_turns, parallel.reshard);
  choose_sums(rule, needs);
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
