#include "tests/jobs/steps_taken.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/run/host_values.hpp"

namespace caravan::jobs {
namespace {

/// Calls visit(index in the box's row-major order, index in the whole's).
template <class Visit>
void for_each_element(const Box& box, const Shape& whole, const Visit& visit) {
  for (std::int64_t at = 0; at < box.extents.count(); ++at) {
    std::int64_t rest = at, index = 0, behind = 1;
    for (int axis = whole.rank(); axis-- > 0;) {
      index += (box.begin(axis) + rest % box.extents[axis]) * behind;
      rest /= box.extents[axis];
      behind *= whole[axis];
    }
    visit(static_cast<std::size_t>(at), static_cast<std::size_t>(index));
  }
}

std::vector<float> values_of(const TensorView& view) {
  std::vector<float> values;
  for (std::int64_t at = 0; at < view.count(); ++at) {
    std::int64_t rest = at, offset = 0;
    for (int axis = view.shape.rank(); axis-- > 0; rest /= view.extent(axis))
      offset += rest % view.extent(axis) * view.stride(axis);
    values.push_back(view.as<float>()[offset]);
  }
  return values;
}

std::vector<PartValues> gradients_of(Device& device, const ParameterStore& store) {
  std::vector<PartValues> all;
  std::vector<float> room;
  for (const Fragment& fragment : store.fragments()) {
    if (!fragment.parameter->is_trained()) continue;
    for (const PartOfFragment& part : parts_of(fragment, on_host(device, fragment.grad, room))) {
      const Parameter& parameter = *fragment.parameter;
      all.push_back({parameter.spec().parts[part.part].name, parameter.part_shape(part.part), part.box,
                     values_of(part.view)});
    }
  }
  return all;
}

double norm_of(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return std::sqrt(sum);
}

double relative(double a, double b) {
  return a == b ? 0 : std::abs(a - b) / std::abs(b);
}

}  // namespace

StepsTaken take_steps(const Job& job, Communicator& world, int steps,
                      const std::function<void(ParameterStore&, Device&)>& prepare) {
  TrainSetup setup(job, world);
  const auto data = setup.open_data({});
  TrainingSteps training(setup, *data);
  ParameterStore& store = setup.model().parameters();
  store.initialise(static_cast<std::uint64_t>(job.seed));
  if (prepare) prepare(store, setup.device());
  StepsTaken taken;
  for (std::int64_t number = 1; number <= steps; ++number) {
    training.post(training.read((number - 1) * setup.share().global_batch), number);
    taken.results.push_back(training.step().result());
    taken.expert_counts.push_back(training.step().expert_counts());
    if (number == 1) taken.gradients = gradients_of(setup.device(), store);
  }
  std::vector<float> room;
  for (const auto& buffer : store.buffers())
    taken.buffers[buffer->name] = values_of(on_host(setup.device(), buffer->data, room));
  return taken;
}

double largest_difference(const std::vector<PartValues>& ours, const std::vector<PartValues>& whole) {
  std::map<std::string, const PartValues*> by_name;
  for (const PartValues& part : whole) by_name[part.name] = &part;
  std::map<std::string, double> squares;
  for (const PartValues& part : ours) {
    const auto known = by_name.find(part.name);
    if (known == by_name.end() || known->second->whole != part.whole)
      return std::numeric_limits<double>::infinity();
    for_each_element(part.box, part.whole, [&](std::size_t here, std::size_t there) {
      const double difference = double{part.values[here]} - known->second->values[there];
      squares[part.name] += difference * difference;
    });
  }
  double largest = 0;
  for (const auto& [name, square] : squares) {
    if (square > 0) largest = std::max(largest, std::sqrt(square) / norm_of(by_name[name]->values));
  }
  return largest;
}

namespace {

/// Choices of a layer's tokens that went elsewhere; `ours` is a layer of this rank's stages.
double flips(const std::vector<float>& ours, const std::vector<std::vector<float>>& all) {
  double least = std::numeric_limits<double>::infinity();
  for (const std::vector<float>& layer : all) {
    double sum = 0;
    for (std::size_t expert = 0; expert < layer.size(); ++expert)
      sum += std::abs(ours[expert] - layer[expert]);
    least = std::min(least, sum / 2);
  }
  return least;
}

}  // namespace

std::size_t steps_before_a_flip(const StepsTaken& ours, const StepsTaken& expected, Communicator& world) {
  const auto steps = static_cast<std::int64_t>(expected.results.size());
  std::int64_t alike = steps;
  for (std::int64_t step = 0; step < steps && alike == steps; ++step) {
    const auto at = static_cast<std::size_t>(step);
    for (const std::vector<float>& layer : ours.expert_counts[at]) {
      const double flipped = flips(layer, expected.expert_counts[at]);
      if (flipped == 0) continue;
      EXPECT_EQ(flipped, 1) << "step " << step + 1;
      alike = step;
    }
  }
  world.all_reduce(TensorView(&alike, DType::i64, {1}), ReduceOp::min);
  EXPECT_GE(alike, 3);
  return static_cast<std::size_t>(alike);
}

double largest_difference(const std::vector<StepResult>& ours, const std::vector<StepResult>& alone) {
  if (ours.size() != alone.size()) return std::numeric_limits<double>::infinity();
  double worst = 0;
  for (std::size_t step = 0; step < alone.size(); ++step) {
    worst = std::max({worst, relative(ours[step].loss, alone[step].loss),
                      relative(ours[step].grad_norm, alone[step].grad_norm),
                      relative(ours[step].balance_loss, alone[step].balance_loss)});
  }
  return worst;
}

}  // namespace caravan::jobs
