#include "core/run/step_traffic.hpp"

#include <utility>

#include "core/run/planned_walks.hpp"

namespace caravan {
namespace {

class Count {
 public:
  Count(std::size_t stages, ShardedParameters& sharded) {
    for (std::size_t at = 0; at < stages; ++at) add_stage(sharded.stage(at));
  }

  /// `walk`: that of the action, or null.
  void add(const Action& action, std::size_t at, const Walk* walk) {
    if (walk) exchange(*walk);
    if (action.kind == ActionKind::reduce_gradients) reduce(at);
    if (action.kind != ActionKind::unshard) return;
    for (Group* group : groups_of_[at]) gather(*group);
  }
  StepTraffic take() { return std::move(traffic_); }

 private:
  struct Group {
    const ParameterGroup* of = nullptr;
    const ParameterGroup** holder = nullptr;  ///< of its room of weights
    GroupTraffic* traffic = nullptr;
    int stages_left = 0;
  };
  /// What a visit does with a group: a gather, or a sum of its gradients.
  struct Exchange {
    Group* group = nullptr;
    bool gathers = false;
  };

  void add_stage(const StageGroups& stage) {
    std::vector<Group*>& of_stage = groups_of_.emplace_back();
    for (std::size_t index = 0; index < stage.exchanges().size(); ++index) {
      const GroupVisits& visits = stage.visits()[index];
      const ParameterGroup& of = stage.exchanges()[index]->group();
      Group& group = groups_[&of];
      group = {&of, &holders_[of.weight_room], &traffic_[&of], group.stages_left + 1};
      exchanges_[visits.gather] = {&group, true};
      // Where walks sum once a step, REDUCE_GRAD of the plan counts.
      if (of.shares_gradient_room)
        exchanges_[visits.reduce] = exchanges_[visits.reduce_last] = {&group, false};
      of_stage.push_back(&group);
    }
  }

  static void gather(Group& group) {
    if (!group.of->is_divided()) return;
    if (std::exchange(*group.holder, group.of) != group.of) ++group.traffic->gathers;
  }

  void reduce(std::size_t at) {
    for (Group* group : groups_of_[at]) {
      if (!group->of->sums_stretches() || group->of->shares_gradient_room || --group->stages_left > 0)
        continue;
      ++group->traffic->reductions;
    }
  }

  void exchange(const Walk& walk) {
    const auto [known, is_new] = exchanges_of_.try_emplace(&walk);
    if (is_new) known->second = exchanges_of(walk);
    for (const Exchange& exchange : known->second) {
      if (exchange.gathers)
        gather(*exchange.group);
      else
        ++exchange.group->traffic->reductions;
    }
  }

  std::vector<Exchange> exchanges_of(const Walk& walk) const {
    std::vector<Exchange> exchanges;
    for (const Visit& visit : walk)
      if (const auto found = exchanges_.find(visit.segment); found != exchanges_.end())
        exchanges.push_back(found->second);
    return exchanges;
  }

  StepTraffic traffic_;
  std::map<int, const ParameterGroup*> holders_;
  std::map<const ParameterGroup*, Group> groups_;
  std::vector<std::vector<Group*>> groups_of_;  ///< of each stage
  std::map<const Segment*, Exchange> exchanges_;
  std::map<const Walk*, std::vector<Exchange>> exchanges_of_;  ///< a step makes few walks many times
};

}  // namespace

StepTraffic step_traffic(const RankPlan& plan, const std::vector<int>& stages, std::vector<StageWalks>& walks,
                         ShardedParameters& sharded) {
  Count count(stages.size(), sharded);
  PlannedWalks(plan, stages, walks).for_each([&](const Action& action, std::size_t at, const Walk* walk) {
    count.add(action, at, walk);
  });
  return count.take();
}

}  // namespace caravan
