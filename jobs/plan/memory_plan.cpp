#include "jobs/plan/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <span>

#include "caravan/checked.hpp"
#include "core/run/place_gathers.hpp"
#include "jobs/plan/stage_memory.hpp"
#include "jobs/setup/machine.hpp"
#include "jobs/setup/text.hpp"
#include "parallel/bucketed_reducer.hpp"

namespace caravan::jobs {

namespace {

std::size_t sum_of(const std::vector<MemoryPlan::Item>& items) {
  std::size_t sum = 0;
  for (const MemoryPlan::Item& item : items) sum = checked_sum(sum, item.bytes, item.what);
  return sum;
}

std::string table(const std::vector<MemoryPlan::Item>& items, const char* total) {
  std::string text;
  const auto row = [&](const MemoryPlan::Item& item) {
    text +=
        fmt::format("  {:<28}{:>12}{}\n", item.what, bytes_text(static_cast<double>(item.bytes)), item.note);
  };
  for (const MemoryPlan::Item& item : items) row(item);
  row({total, sum_of(items)});
  return text;
}

}  // namespace

std::size_t MemoryPlan::total() const {
  return sum_of(items);
}

std::string MemoryPlan::describe() const {
  return table(items, "peak a rank") + (host.empty() ? "" : table(host, "of the host, a rank"));
}

namespace {

/// What the host holds of a group while its gradients are summed over the ranks: what other ranks send; where
/// they are in a device's memory also a copy of all, and the sum.
std::int64_t summed_elements(const ParameterGroup& group, Memory memory) {
  if (!group.sums_stretches()) return 0;
  return memory == Memory::host ? group.elements - group.stretch.size() : 2 * group.elements;
}

/// The most of those that the last walk sums that are under way together.
std::int64_t summed_in_walk(std::span<const ParameterGroup> groups, Memory memory) {
  std::vector<std::int64_t> summed;
  for (const ParameterGroup& group : groups)
    if (group.sums_in_last_walk) summed.push_back(summed_elements(group, memory));
  std::int64_t most = 0;
  for (std::size_t first = 0; first < summed.size(); ++first) {
    const auto begin = summed.begin() + static_cast<std::ptrdiff_t>(first);
    most = std::max(
        most, std::accumulate(begin,
                              begin + static_cast<std::ptrdiff_t>(std::min(kMostSums, summed.size() - first)),
                              std::int64_t{0}));
  }
  return most;
}

/// The same of all that are summed at once: of a block its dense parameters and its experts; those that have
/// rooms of their own all together, when the last of a step have been made.
std::int64_t summed_at_once(std::span<const ParameterGroup> groups, Memory memory) {
  std::int64_t dense = 0, experts = 0, own = 0;
  for (const ParameterGroup& group : groups) {
    std::int64_t& largest = group.over == MeshAxis::efsdp ? experts : dense;
    if (group.shares_gradient_room)
      largest = std::max(largest, summed_elements(group, memory));
    else if (!group.sums_in_last_walk)
      own += summed_elements(group, memory);
  }
  return std::max({dense + experts, own, summed_in_walk(groups, memory)});
}

/// What is received or copied in host memory while gradients are summed over the ranks, at most.
std::size_t reduction_bytes(const ParameterStore& parameters, std::size_t all_gradients, Memory memory) {
  if (!parameters.groups().empty())
    return static_cast<std::size_t>(summed_at_once(parameters.groups(), memory)) * sizeof(float);
  std::int64_t largest = 0;
  for (const auto& parameter : parameters.parameters())
    if (parameter->is_trained() && !parameter->sums_rows())
      largest = std::max(largest, parameter->spec().shape.count());
  const auto copied =
      parallel::BucketedReducer::most_copied_bytes(largest * static_cast<std::int64_t>(sizeof(float)));
  // Gradients in a device's memory are copied to the host, and MPI copies them once more.
  const std::size_t copies = memory == Memory::device ? 2 : 1;
  return copies * std::min(all_gradients, static_cast<std::size_t>(copied));
}

void add_host_items(std::vector<MemoryPlan::Item>& host, const MemoryDemand& demand, std::size_t reduction) {
  // Of rows in a device's memory the host holds copies too: what is sent, and the sum.
  const std::size_t row_sums = (demand.memory == Memory::device ? 3 : 1) * demand.row_sums;
  if (!demand.has_own_exchanges) {
    if (reduction > 0) host.push_back({"gradient reduction", reduction});
    if (row_sums > 0) host.push_back({"sums of rows", row_sums});
  }
  if (demand.snapshot > 0) host.push_back({"checkpoint snapshot", demand.snapshot});
  const BatchShape& shape = demand.shape;
  const auto ids = static_cast<std::size_t>(2 * shape.tokens() + shape.sequences * shape.sequence_length()),
             batches = static_cast<std::size_t>(demand.training.microbatches);
  host.push_back({"batches", checked_product(sizeof(std::int32_t) * ids, batches, "batches")});
  // Pages of code that have not run, stacks and pools of threads that have not started.
  host.push_back({"process and libraries", static_cast<std::size_t>(process_memory().resident),
                  "  as of now: 10 to 30 MiB more when they run"});
}

}  // namespace

MemoryPlan plan_memory(ModelInstance& model, const MemoryDemand& demand) {
  using Content = ParameterStore::Content;
  const auto parameters = model.parameters().memory(Content::weights_and_gradients, demand.optimizer_slots);
  const ActivationBytes activations = StageMemory::planned(model, demand.training, demand.shape);
  MemoryPlan plan;
  plan.items = {{"weights", parameters.weights}};
  if (parameters.masters > 0) plan.items.push_back({"master weights", parameters.masters});
  if (parameters.weight_rooms > 0) {
    plan.items.push_back({"gathered weights", parameters.weight_rooms});
    plan.items.push_back({"whole gradients", parameters.gradient_rooms});
  }
  plan.items.insert(plan.items.end(), {{"gradients", parameters.gradients},
                                       {"optimizer", parameters.slots},
                                       {"constants and counters", parameters.buffers},
                                       {"activations kept", activations.kept},
                                       {"activations in work", activations.working}});
  if (demand.whole_matrices > 0) plan.items.push_back({"whole matrices", demand.whole_matrices});
  std::size_t shared = activations.shared;
  if (demand.validation) {
    BatchShape evaluation = demand.shape;
    evaluation.phase = Phase::evaluate;
    const ActivationBytes validation = StageMemory::planned(model, *demand.validation, evaluation);
    plan.items.push_back({"validation", validation.total()});
    shared = std::max(shared, validation.shared);
  }
  if (demand.samples > 0) plan.items.push_back({"cache and work of samples", demand.samples});
  if (shared > 0) plan.items.push_back({"windows between ranks", shared});
  const bool apart = demand.memory == Memory::device;
  const bool sums = demand.data_ranks > 1 || !model.parameters().groups().empty();
  const std::size_t reduction =
      sums ? reduction_bytes(model.parameters(), parameters.gradients, demand.memory) : 0;
  add_host_items(apart ? plan.host : plan.items, demand, reduction);
  return plan;
}

}  // namespace caravan::jobs
