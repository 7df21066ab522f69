#include "jobs/plan/exchanges.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/run/matrix_updates.hpp"
#include "jobs/plan/row_exchanges.hpp"
#include "jobs/setup/text.hpp"

namespace caravan::jobs {

StepTraffic planned_traffic(TrainSetup& setup) {
  if (!setup.pipeline().rooms) return {};
  ModelInstance& model = setup.model();
  const RankPlan& plan = setup.pipeline().training;
  ShardedParameters sharded(setup.device(), model.parameters(), setup.mesh(), model.stages(),
                            *setup.pipeline().rooms);
  std::vector<StageWalks> walks;
  for (std::size_t at = 0; at < model.stages().size(); ++at)
    walks.emplace_back(model.stages()[at]->layers(),
                       plan.recompute.empty() ? RecomputePlan{} : plan.recompute[at],
                       plan.places[at].overlaps, &sharded.stage(at));
  return step_traffic(plan, plan.stages(setup.mesh().coordinate(MeshAxis::pp)), walks, sharded);
}

namespace {

/// Of `elements`, all but the rank's own stretch go to others or come from them.
double moved_bytes(const ParameterGroup& group, std::size_t size) {
  return static_cast<double>(group.elements - group.stretch.size()) * static_cast<double>(size);
}

void add_groups(StepExchanges& all, TrainSetup& setup) {
  for (const auto& [group, traffic] : planned_traffic(setup)) {
    all.gathers.times += traffic.gathers;
    all.gathers.bytes += static_cast<double>(traffic.gathers) * moved_bytes(*group, size_of(setup.compute()));
    all.reductions.times += traffic.reductions;
    all.reductions.bytes += static_cast<double>(traffic.reductions) * moved_bytes(*group, sizeof(float));
  }
}

/// A sum over n ranks sends each element 2·(n − 1) / n times from a rank, whatever the algorithm.
void add_replicas(StepExchanges& all, TrainSetup& setup) {
  const int replicas = setup.mesh().degree(MeshAxis::dp_replicate);
  double elements = 0;
  for (const Fragment& fragment : setup.model().parameters().fragments())
    if (fragment.parameter->is_trained() && !fragment.parameter->sums_rows())
      elements += static_cast<double>(fragment.count());
  if (replicas > 1) all.replicas = {1, 2 * elements * sizeof(float) * (replicas - 1) / replicas};
}

double summand_bytes(const Parameter& parameter) {
  double bytes = 0;
  if (!parameter.is_trained()) return bytes;
  for (std::size_t part = 0; part < parameter.spec().parts.size(); ++part) {
    const double copies = parameter.copies(part);
    bytes += 2 * static_cast<double>(parameter.part_box(part).extents.count()) * sizeof(float) *
             (copies - 1) / copies;
  }
  return bytes;
}

/// Once a step, or where gradients are summed into stretches after each micro-batch, as often.
void add_repeated(StepExchanges& all, TrainSetup& setup) {
  const ParameterStore& store = setup.model().parameters();
  for (const auto& parameter : store.parameters()) all.repeated.bytes += summand_bytes(*parameter);
  for (const ParameterGroup& group : store.groups()) {
    const auto more = static_cast<double>(setup.share().microbatches() - 1);
    for (const Parameter* parameter : group.parameters)
      if (group.shares_gradient_room) all.repeated.bytes += more * summand_bytes(*parameter);
  }
  all.repeated.times = all.repeated.bytes > 0 ? 1 : 0;
}

/// Stretches of what matrices are made of, and their slices.
void add_matrices(StepExchanges& all, TrainSetup& setup) {
  const ParameterStore& store = setup.model().parameters();
  const auto is_seen = [](const Parameter* parameter) { return parameter->update_rule().by_matrix; };
  for (const ParameterGroup& group : store.groups()) {
    if (!group.is_divided() || !std::any_of(group.parameters.begin(), group.parameters.end(), is_seen))
      continue;
    ++all.matrices.times;
    all.matrices.bytes += moved_bytes(group, sizeof(float));
  }
  for (const MatrixPlace& place : matrix_places(store)) {
    if (!place.is_cut()) continue;
    const double ranks = setup.mesh().degree(MeshAxis::tp);
    ++all.matrices.times;
    all.matrices.bytes += 2 * static_cast<double>(place.whole.count()) * sizeof(float) * (ranks - 1) / ranks;
  }
}

void add_messages(StepExchanges& all, TrainSetup& setup) {
  const Shape shape{setup.shape().rows(), setup.whole_model().stage().width()};
  const auto bytes = static_cast<double>(shape.count()) * size_of(setup.compute());
  for (const Step& step : setup.pipeline().training.row) {
    const bool sends =
        step.action.kind == ActionKind::send_forward || step.action.kind == ActionKind::send_backward;
    if (!sends) continue;
    ++all.messages.times;
    all.messages.bytes += bytes;
  }
}

}  // namespace

StepExchanges step_exchanges(TrainSetup& setup) {
  StepExchanges all;
  if (!setup.model().parameters().groups().empty()) add_groups(all, setup);
  add_replicas(all, setup);
  add_repeated(all, setup);
  add_matrices(all, setup);
  all.tensor = row_exchanges(setup, Lane::tensor);
  all.rows = row_exchanges(setup, Lane::expert);
  all.table = row_exchanges(setup, Lane::shard);
  add_messages(all, setup);
  return all;
}

std::string way_between_ranks(const Device& device) {
  if (device.memory() == Memory::host) return "over MPI";
  const std::string own = device.exchange_path();
  return own.empty() ? "through host memory, which is slow" : "over " + own;
}

std::string describe(const StepExchanges& exchanges, const std::string& way) {
  std::string text;
  const auto add = [&](const char* what, const StepExchanges::Item& item, bool is_counted) {
    if (item.times == 0) return;
    text += fmt::format("  {:<28}{:>8}{:>12}\n", what, is_counted ? std::to_string(item.times) : "",
                        bytes_text(item.bytes));
  };
  add("gathers of weights", exchanges.gathers, true);
  add("sums into stretches", exchanges.reductions, true);
  add("rows of tables", exchanges.table, true);
  add("sums over replicas", exchanges.replicas, false);
  add("sums over tensor ranks", exchanges.repeated, false);
  add("parts of whole matrices", exchanges.matrices, true);
  add("rows and keys in layers", exchanges.tensor, true);
  add("rows to experts and back", exchanges.rows, true);
  add("to other stages", exchanges.messages, true);
  return text.empty() ? text : "\n# exchanges of a step, sent by rank 0, " + way + "\n" + text;
}

}  // namespace caravan::jobs
