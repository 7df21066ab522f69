#include "core/plan/measured_costs.hpp"

#include <algorithm>

namespace caravan {
namespace {

struct Samples {
  std::vector<double> forward, again, input, weight, both;

  std::vector<double>* of(ActionKind kind) {
    switch (kind) {
      case ActionKind::forward:
        return &forward;
      case ActionKind::recompute:
        return &again;
      case ActionKind::backward_input:
        return &input;
      case ActionKind::backward_weight:
        return &weight;
      case ActionKind::backward:
        return &both;
      default:
        return nullptr;
    }
  }
};

double median(std::vector<double>& values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

StageCosts costs_of(Samples& samples) {
  const double both = median(samples.both);
  // The last stage leaves F to R when it recomputes.
  const double forward = std::max(median(samples.forward), median(samples.again));
  return {forward, samples.input.empty() ? both / 2 : median(samples.input),
          samples.weight.empty() ? both / 2 : median(samples.weight)};
}

}  // namespace

SimulationCosts measured_costs(const Plan& plan, const std::vector<Timeline>& timelines) {
  std::vector<Samples> stages(static_cast<std::size_t>(placement_of(plan).stages()));
  for (const Timeline& timeline : timelines) {
    for (std::size_t rank = 0; rank < plan.steps.size(); ++rank) {
      for (std::size_t index = 0; index < plan.steps[rank].size(); ++index) {
        const Step& step = plan.steps[rank][index];
        std::vector<double>* samples =
            stages[static_cast<std::size_t>(step.action.stage)].of(step.action.kind);
        const Span& span = timeline.spans[rank][index];
        if (samples && !step.overlapped) samples->push_back(span.end - span.begin);
      }
    }
  }
  SimulationCosts costs;
  for (Samples& samples : stages) costs.stages.push_back(costs_of(samples));
  return costs;
}

}  // namespace caravan
