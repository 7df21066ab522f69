#include "core/plan/simulate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "caravan/check.hpp"
#include "core/plan/dry_run.hpp"

namespace caravan {
namespace {

double cost_of(const Action& action, const StageCosts& costs) {
  switch (action.kind) {
    case ActionKind::forward:
    case ActionKind::recompute:
      return costs.forward;
    case ActionKind::backward_input:
      return costs.backward_input;
    case ActionKind::backward_weight:
      return costs.backward_weight;
    case ActionKind::backward:
      return costs.backward_input + costs.backward_weight;
    default:
      return 0;
  }
}

class Simulation {
 public:
  Simulation(const Plan& plan, const SimulationCosts& costs)
      : plan_(plan),
        costs_(costs),
        placement_(placement_of(plan)),
        cells_(plan, placement_, microbatches_of(plan)),
        made_at_(2 * cells_.size()),
        clock_(plan.steps.size()) {
    const auto count = static_cast<std::size_t>(placement_.stages());
    CARAVAN_CHECK(costs.stages.size() == 1 || costs.stages.size() == count, ConfigError,
                  fmt::format("costs of {} stages (the plan has {})", costs.stages.size(), count));
    for (const std::vector<Step>& row : plan.steps) timeline_.spans.emplace_back(row.size());
  }

  Timeline run() && {
    DryRun(plan_, placement_, cells_).run([&](int rank, std::size_t i) { time_step(rank, i); });
    timeline_.makespan = *std::max_element(clock_.begin(), clock_.end());
    return std::move(timeline_);
  }

 private:
  void time_step(int rank, std::size_t i) {
    const auto r = static_cast<std::size_t>(rank);
    const Step& step = plan_.steps[r][i];
    double begin = clock_[r];
    for_each_action(step, [&](const Action& action) { begin = std::max(begin, inputs_at(action)); });
    const double end = begin + duration(step);
    for_each_action(step, [&](const Action& action) {
      const std::size_t product = cells_.made_by(action);
      if (product != Cells::kNone) made_at_[product] = end;
    });
    timeline_.spans[r][i] = {begin, end};
    clock_[r] = end;
  }

  double inputs_at(const Action& action) const {
    const std::size_t input = cells_.read_by(action);
    if (input == Cells::kNone) return 0;
    const int maker = action.stage + (action.kind == ActionKind::forward ? -1 : 1);
    return made_at_[input] + (placement_.same_rank(maker, action.stage) ? 0 : costs_.communication);
  }

  double duration(const Step& step) const {
    const double first = cost_of(step.action, costs_of(step.action.stage));
    if (!step.overlapped) return first;
    const double second = cost_of(*step.overlapped, costs_of(step.overlapped->stage));
    return first + second - costs_.overlap * std::min(first, second);
  }

  const StageCosts& costs_of(int stage) const {
    return costs_.stages.size() == 1 ? costs_.stages.front() : costs_.stages[static_cast<std::size_t>(stage)];
  }

  const Plan& plan_;
  const SimulationCosts& costs_;
  Placement placement_;
  Cells cells_;
  std::vector<double> made_at_, clock_;
  Timeline timeline_;
};

int count(const Step& step, bool (*is)(const Action&)) {
  return static_cast<int>(is(step.action)) + static_cast<int>(step.overlapped && is(*step.overlapped));
}

}  // namespace

double Timeline::idle(int rank) const {
  double busy = 0;
  for (const Span& span : spans.at(static_cast<std::size_t>(rank))) busy += span.end - span.begin;
  return makespan - busy;
}

double Timeline::bubble() const {
  if (makespan <= 0) return 0;
  double all = 0;
  for (int rank = 0; rank < static_cast<int>(spans.size()); ++rank) all += idle(rank);
  return all / (makespan * static_cast<double>(spans.size()));
}

Timeline simulate(const Plan& plan, const SimulationCosts& costs) {
  return Simulation(plan, costs).run();
}

std::vector<int> peak_stashes(const Plan& plan) {
  const auto keeps = [](const Action& action) { return action.kind == ActionKind::forward; };
  const auto frees = [](const Action& action) {
    return action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight;
  };
  std::vector<int> peaks;
  for (const std::vector<Step>& row : plan.steps) {
    int kept = 0, most = 0;
    for (const Step& step : row) {
      kept += count(step, keeps);
      most = std::max(most, kept);
      kept -= count(step, frees);
    }
    peaks.push_back(most);
  }
  return peaks;
}

}  // namespace caravan
