#include "jobs/train/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "jobs/setup/machine.hpp"
#include "jobs/setup/text.hpp"
#include "parallel/bucketed_reducer.hpp"

namespace caravan::jobs {

std::size_t MemoryPlan::total() const {
  return std::accumulate(items.begin(), items.end(), std::size_t{0},
                         [](std::size_t sum, const Item& item) { return sum + item.bytes; });
}

std::string MemoryPlan::describe() const {
  std::string text;
  for (const Item& item : items) {
    text += fmt::format("  {:<28}{:>12}\n", item.what, bytes_text(static_cast<double>(item.bytes)));
  }
  return text + fmt::format("  {:<28}{:>12}\n", "peak a rank", bytes_text(static_cast<double>(total())));
}

namespace {

/// What MPI copies while gradients are summed over the data ranks.
std::size_t reduction_bytes(const ParameterStore& parameters, std::size_t all_gradients) {
  std::int64_t largest = 0;
  for (const auto& parameter : parameters.parameters())
    largest = std::max(largest, parameter->spec().shape.count());
  const auto copied =
      parallel::BucketedReducer::most_copied_bytes(largest * static_cast<std::int64_t>(sizeof(float)));
  return std::min(all_gradients, static_cast<std::size_t>(copied));
}

}  // namespace

MemoryPlan plan_memory(ModelInstance& model, const MemoryDemand& demand) {
  using Content = ParameterStore::Content;
  const auto parameters = model.parameters().memory(Content::weights_and_gradients, demand.optimizer_slots);
  const auto& layers = model.stage().layers();
  const StashLayout training(layers, demand.shape, StashMode::fused, model.stage().width());
  MemoryPlan plan;
  plan.items = {{"weights", parameters.weights},
                {"gradients", parameters.gradients},
                {"optimizer", parameters.slots},
                {"constants and counters", parameters.buffers},
                {"activations", training.total_bytes(demand.in_flight)}};
  if (demand.data_ranks > 1) {
    plan.items.push_back({"gradient reduction", reduction_bytes(model.parameters(), parameters.gradients)});
  }
  if (demand.validates) {
    BatchShape evaluation = demand.shape;
    evaluation.phase = Phase::evaluate;
    const StashLayout forward(layers, evaluation, StashMode::inference, model.stage().width());
    plan.items.push_back({"validation", forward.total_bytes(1)});
  }
  const auto tokens =
      static_cast<std::size_t>(demand.shape.tokens() * (demand.microbatches + demand.in_flight));
  plan.items.push_back({"batches", 3 * sizeof(std::int32_t) * tokens});
  plan.items.push_back({"process and libraries", static_cast<std::size_t>(process_memory().resident)});
  return plan;
}

}  // namespace caravan::jobs
