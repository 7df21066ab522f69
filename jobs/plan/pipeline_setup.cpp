#include "jobs/plan/pipeline_setup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "caravan/check.hpp"
#include "caravan/checked.hpp"
#include "jobs/job/place.hpp"

namespace caravan::jobs {
namespace {

constexpr std::int64_t kMostMicrobatches = 1 << 20;
/// Beyond it a plan takes seconds to prove and gigabytes to hold.
constexpr std::int64_t kMostForwards = 1 << 22;

Made<Schedule> make_schedule(Registry& registry, const Job::Parallel& parallel) {
  return registry.create<Schedule>(parallel.schedule, Host::of(registry), parallel.schedule_options);
}

/// Where a plan came from, for messages.
std::string from_plugin(const Job::Parallel& parallel) {
  const Config& file = parallel.schedule_options.find("file");
  return "the plan of schedule " + parallel.schedule + (file.is_null() ? "" : " from " + file.as_string());
}

/// Parameters of layers on several ranks, in the order in which the model declares them.
std::vector<SharedParameter> find_shared(Stage& whole, const std::vector<LayerRange>& ranges,
                                         const Placement& placement) {
  std::map<const Parameter*, std::set<int>> ranks;
  std::vector<const Parameter*> order;
  for (std::size_t stage = 0; stage < ranges.size(); ++stage) {
    for (int layer = ranges[stage].begin; layer < ranges[stage].end; ++layer) {
      for (const Parameter* parameter : whole.layers()[static_cast<std::size_t>(layer)]->parameters()) {
        if (!ranks.contains(parameter)) order.push_back(parameter);
        ranks[parameter].insert(placement.rank_of[stage]);
      }
    }
  }
  std::vector<SharedParameter> shared;
  for (const Parameter* parameter : order) {
    const std::set<int>& holders = ranks[parameter];
    if (holders.size() > 1) shared.push_back({parameter->spec().name, {holders.begin(), holders.end()}});
  }
  return shared;
}

PlanRequest request_of(const Schedule& schedule, const Job::Parallel& parallel, int pipeline_ranks,
                       std::int64_t microbatches) {
  CARAVAN_CHECK(microbatches < kMostMicrobatches, ConfigError,
                fmt::format("{} micro-batches a step (at most {}). A smaller train.global_batch_size, or a "
                            "larger train.local_batch_size?",
                            microbatches, kMostMicrobatches - 1));
  const StagesPerRank allowed = schedule.stages_per_rank();
  const std::int64_t given = parallel.stages_per_rank;
  CARAVAN_CHECK(given == -1 || (given >= allowed.least && given <= allowed.most), ConfigError,
                fmt::format("parallel.stages_per_rank={} ({} has {} to {}). Leave it out?", given,
                            parallel.schedule, allowed.least, allowed.most));
  PlanRequest request;
  const Size ranks{"parallel.pipeline", pipeline_ranks};
  const Size stages{"parallel.stages_per_rank", given == -1 ? allowed.usual : given};
  const Size batches{"micro-batches of a step", microbatches};
  checked_product({ranks, stages, batches}, kMostForwards, "forwards in a plan");
  request.ranks = narrow<int>(ranks);
  request.microbatches = narrow<int>(batches);
  request.stages_per_rank = narrow<int>(stages);
  return request;
}

/// Where gathered weights stand while the plan runs, and whether it says when they are gathered.
void choose_rooms(PipelineSetup& setup, const Job& job, const RoomNeeds& needs) {
  at_place(place_of(job.resolved, {"parallel"}), [&] {
    const RoomRule rule = room_rule(job.parallel, needs);
    if (!needs.is_divided) return;
    check_rooms(rule, setup.schedule, job.parallel);
    setup.rooms = rule;
  });
  const bool is_planned = setup.rooms && setup.rooms->gathers == GatherWhen::planned;
  setup.unsharding = is_planned ? Unsharding::once : Unsharding::none;
}

PipelineSetup planned(Registry& registry, const Job& job, const Mesh& mesh, const PipelineNeeds& needs,
                      ModelInstance& whole) {
  const auto schedule = make_schedule(registry, job.parallel);
  const PlanRequest request =
      request_of(*schedule, job.parallel, mesh.degree(MeshAxis::pp), needs.microbatches);
  const int rank = mesh.coordinate(MeshAxis::pp);
  PipelineSetup setup;
  // Before the plan is built: this is cheap and the likelier mistake.
  setup.layers = split_model(whole.model(), request.ranks * request.stages_per_rank, job.parallel.split);
  setup.schedule = schedule->build(request);
  CARAVAN_CHECK(setup.schedule.ranks() == request.ranks, ConfigError,
                fmt::format("schedule {} gave a plan for {} ranks (the job has {} pipeline ranks)",
                            job.parallel.schedule, setup.schedule.ranks(), request.ranks));
  choose_rooms(setup, job,
               {.stages = static_cast<int>(setup.layers.size()),
                .microbatches = needs.microbatches,
                .is_divided = divides_parameters(mesh, whole.parameters()),
                .optimizer = needs.optimizer});
  try {
    setup.training =
        lower(setup.schedule, request.microbatches, rank, job.train.recompute.of_stages(), setup.unsharding);
  } catch (Error& error) {
    error.add_context(from_plugin(job.parallel));
    throw;
  }
  setup.validation = lower_evaluation(setup.training.placement, request.ranks, rank, setup.unsharding);
  const int stages = setup.training.placement.stages();
  CARAVAN_CHECK(stages == static_cast<int>(setup.layers.size()), ConfigError,
                fmt::format("schedule {} gave a plan for {} stages (asked for {} ranks x {} stages)",
                            job.parallel.schedule, stages, request.ranks, request.stages_per_rank));
  setup.shared = find_shared(whole.stage(), setup.layers, setup.training.placement);
  return setup;
}

}  // namespace

PipelineSetup plan_pipeline(Registry& registry, const Job& job, const Mesh& mesh, const PipelineNeeds& needs,
                            ModelInstance& whole) {
  return at_place(place_of(job.resolved, {"parallel", "schedule"}),
                  [&] { return planned(registry, job, mesh, needs, whole); });
}

}  // namespace caravan::jobs
