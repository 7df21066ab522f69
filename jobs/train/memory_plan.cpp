#include "jobs/train/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "jobs/setup/machine.hpp"
#include "jobs/setup/text.hpp"
#include "jobs/train/stage_memory.hpp"
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
  MemoryPlan plan;
  plan.items = {{"weights", parameters.weights},
                {"gradients", parameters.gradients},
                {"optimizer", parameters.slots},
                {"constants and counters", parameters.buffers},
                {"activations", StageMemory::planned_bytes(model, demand.training, demand.shape)}};
  if (demand.data_ranks > 1) {
    plan.items.push_back({"gradient reduction", reduction_bytes(model.parameters(), parameters.gradients)});
  }
  if (demand.validation) {
    BatchShape evaluation = demand.shape;
    evaluation.phase = Phase::evaluate;
    plan.items.push_back({"validation", StageMemory::planned_bytes(model, *demand.validation, evaluation)});
  }
  const auto tokens = static_cast<std::size_t>(demand.shape.tokens() * demand.training.microbatches);
  plan.items.push_back({"batches", 3 * sizeof(std::int32_t) * tokens});
  plan.items.push_back({"process and libraries", static_cast<std::size_t>(process_memory().resident)});
  return plan;
}

}  // namespace caravan::jobs
