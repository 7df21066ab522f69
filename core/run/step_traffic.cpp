#include "core/run/step_traffic.hpp"

#include <algorithm>
#include <optional>

namespace caravan {
namespace {

class Count {
 public:
  Count(const RankPlan& plan, const std::vector<int>& stages, std::vector<StageWalks>& walks,
        ShardedParameters& sharded)
      : plan_(plan), stages_(stages), walks_(walks), sharded_(sharded) {
    for (std::size_t at = 0; at < stages.size(); ++at) {
      for (const GroupExchange* exchange : sharded.stage(at).exchanges()) ++stages_left_[exchange];
    }
  }

  void add(const Action& action) {
    const auto at =
        static_cast<std::size_t>(std::find(stages_.begin(), stages_.end(), action.stage) - stages_.begin());
    switch (action.kind) {
      case ActionKind::forward:
      case ActionKind::recompute:
      case ActionKind::backward:
      case ActionKind::backward_input:
      case ActionKind::backward_weight:
        if (is_left_to_repetition(at, action)) return;
        return walk(at, walks_[at].next(action.kind, action.microbatch));
      case ActionKind::unshard:
        for (const GroupExchange* exchange : sharded_.stage(at).exchanges()) gather(*exchange);
        return;
      case ActionKind::reduce_gradients:
        return reduce(at);
      default:
        return;
    }
  }
  StepTraffic take() { return std::move(traffic_); }

 private:
  bool is_left_to_repetition(std::size_t at, const Action& action) const {
    return action.kind == ActionKind::forward && plan_.places[at].forward_set(action.microbatch) == kNoPlace;
  }

  void gather(const GroupExchange& exchange) {
    const ParameterGroup& group = exchange.group();
    if (!group.is_divided()) return;
    if (std::exchange(holders_[group.weight_room], &group) != &group) ++traffic_[&group].gathers;
  }

  void reduce(std::size_t at) {
    for (const GroupExchange* exchange : sharded_.stage(at).exchanges()) {
      const ParameterGroup& group = exchange->group();
      if (!group.is_divided() || group.shares_gradient_room || --stages_left_[exchange] > 0) continue;
      ++traffic_[&exchange->group()].reductions;
    }
  }

  void walk(std::size_t at, const Walk& walk) {
    const StageGroups& groups = sharded_.stage(at);
    for (const Visit& visit : walk) {
      for (std::size_t index = 0; index < groups.visits().size(); ++index) {
        const GroupVisits& known = groups.visits()[index];
        if (visit.segment == known.gather) gather(*groups.exchanges()[index]);
        if (visit.segment == known.reduce || visit.segment == known.reduce_last)
          ++traffic_[&groups.exchanges()[index]->group()].reductions;
      }
    }
  }

  const RankPlan& plan_;
  const std::vector<int>& stages_;
  std::vector<StageWalks>& walks_;
  ShardedParameters& sharded_;
  std::map<const GroupExchange*, int> stages_left_;
  std::map<int, const ParameterGroup*> holders_;
  StepTraffic traffic_;
};

}  // namespace

StepTraffic step_traffic(const RankPlan& plan, const std::vector<int>& stages, std::vector<StageWalks>& walks,
                         ShardedParameters& sharded) {
  Count count(plan, stages, walks, sharded);
  for (const Step& step : plan.row) {
    count.add(step.action);
    if (step.overlapped) count.add(*step.overlapped);
  }
  return count.take();
}

}  // namespace caravan
