#include "jobs/schedule/query.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>

#include "caravan/check.hpp"
#include "caravan/registry.hpp"
#include "core/base/config_scalar.hpp"
#include "core/plan/cells.hpp"
#include "core/plan/check_plan.hpp"
#include "core/plan/passes.hpp"
#include "io/files/file.hpp"
#include "jobs/setup/machine.hpp"

namespace caravan::jobs {
namespace {

void set_cost(CostQuery& costs, const std::string& assignment) {
  const std::array<std::pair<std::string_view, double*>, 5> known{{{"F", &costs.actions.forward},
                                                                   {"I", &costs.actions.backward_input},
                                                                   {"W", &costs.actions.backward_weight},
                                                                   {"comm", &costs.actions.communication},
                                                                   {"overlap", &costs.overlap}}};
  const std::size_t end = assignment.find('=');
  const std::string_view name = std::string_view(assignment).substr(0, end);
  for (const auto& [key, cost] : known) {
    if (key != name || end == std::string::npos) continue;
    const auto value = parse_float(std::string_view(assignment).substr(end + 1));
    const double most = key == "overlap" ? 1 : 1e9;
    CARAVAN_CHECK(value && *value >= 0 && *value <= most, ConfigError,
                  fmt::format("--cost {} (a number from 0 to {})", shown(assignment), most));
    *cost = *value;
    return;
  }
  throw ConfigError(fmt::format("--cost {} (known: F=…, I=…, W=…, comm=…, overlap=…)", shown(assignment)));
}

/// What a user wrote behind the schedule's name, as if it stood below schedule_options of a job.
Config options_of(const ScheduleQuery& query) {
  constexpr const char* kKey = "schedule_options";
  Config holder = Config::map();
  holder.override_with(std::string(kKey) + "={}");
  for (const std::string& assignment : query.options)
    holder.override_with(std::string(kKey) + "." + assignment);
  Config options = holder.at(kKey);
  CARAVAN_CHECK(query.csv.empty() || query.name == "csv", ConfigError,
                fmt::format("--csv with schedule '{}' (a file is read by the schedule csv)", query.name));
  CARAVAN_CHECK(query.csv.empty() || !options.has("file"), ConfigError,
                fmt::format("--csv {} and file={} (both name the file). Leave one out?", query.csv,
                            options.find("file").text()));
  if (!query.csv.empty()) options.set("file", query.csv);
  return options;
}

/// Ranks and micro-batches of a file are seen in it.
void complete_from_file(ScheduleQuery& query, const std::string& file) {
  const Plan plan = parse_schedule_csv(io::read_text(file, std::uint64_t{64} << 20), file);
  if (query.ranks == 0) query.ranks = plan.ranks();
  if (query.microbatches == 0) query.microbatches = microbatches_of(plan);
}

void check_size(const ScheduleQuery& query) {
  constexpr std::int64_t kMostCells = std::int64_t{1} << 25;
  CARAVAN_CHECK(query.ranks > 0, ConfigError, "--ranks is required");
  CARAVAN_CHECK(query.microbatches > 0, ConfigError, "--microbatches is required");
  const auto cells = std::int64_t{query.ranks} * query.microbatches * std::max(query.stages_per_rank, 1);
  CARAVAN_CHECK(cells <= kMostCells, ConfigError,
                fmt::format("{} ranks, {} micro-batches and {} stages a rank are {} forwards (at most {})",
                            query.ranks, query.microbatches, query.stages_per_rank, cells, kMostCells));
}

Plan build(const ScheduleQuery& query, const Schedule& schedule) {
  PlanRequest request{query.ranks, query.microbatches, query.stages_per_rank, query.costs.actions};
  if (request.stages_per_rank == 0) request.stages_per_rank = schedule.stages_per_rank().usual;
  return schedule.build(request);
}

Plan passed(Plan plan, const ScheduleQuery& query, int stages) {
  if (query.recomputed)
    plan = place_recomputation(plan, std::vector<bool>(static_cast<std::size_t>(stages), true));
  if (!query.lowered) return plan;
  plan = place_communication(place_reduction(place_unshard(plan)));
  check_communication(plan);
  return plan;
}

}  // namespace

CostQuery parse_costs(const std::vector<std::string>& assignments) {
  CostQuery costs;
  for (const std::string& assignment : assignments) set_cost(costs, assignment);
  return costs;
}

CheckedSchedule make_schedule(const ScheduleQuery& asked) {
  ScheduleQuery query = asked;
  const auto registry = make_registry();
  const Config options = options_of(query);
  const auto schedule = registry->create<Schedule>(query.name, Host::of(*registry), options);
  if (query.name == "csv") complete_from_file(query, options.get_string("file"));
  check_size(query);
  Plan plan = build(query, *schedule);
  const int stages = check(plan, query.microbatches).stages();
  return {passed(std::move(plan), query, stages),
          {fmt::format("{}: {} ranks, {} stages, {} micro-batches", query.name, query.ranks, stages,
                       query.microbatches),
           kCostUnit}};
}

Timeline simulate(const Plan& plan, const CostQuery& costs) {
  const ActionCosts& actions = costs.actions;
  return caravan::simulate(plan, {{{actions.forward, actions.backward_input, actions.backward_weight}},
                                  actions.communication,
                                  costs.overlap});
}

}  // namespace caravan::jobs
