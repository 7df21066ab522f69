#include "core/run/sharded_parameters.hpp"

#include <algorithm>

namespace caravan {
namespace {

bool uses(const Layer& layer, const ParameterGroup& group) {
  return std::any_of(layer.parameters().begin(), layer.parameters().end(), [&](const Parameter* parameter) {
    return std::find(group.parameters.begin(), group.parameters.end(), parameter) != group.parameters.end();
  });
}

GroupVisits visits_of(GroupExchange& exchange, const RoomRule& rule) {
  const ParameterGroup& group = exchange.group();
  return {.gather = &exchange.gather(),
          .prepare = group.shares_gradient_room ? &exchange.prepare_segment() : nullptr,
          .reduce = &exchange.reduce(),
          .reduce_last = &exchange.reduce_last(),
          .weight_room = group.weight_room,
          .gradient_room = group.gradient_room,
          .gathers = group.is_divided() && rule.gathers == GatherWhen::used,
          .reduces = group.shares_gradient_room || group.sums_in_last_walk};
}

}  // namespace

StageGroups::StageGroups(const Stage& stage, std::deque<GroupExchange>& exchanges, const RoomRule& rule)
    : layers_(stage.layers().size()), gathers_(rule.gathers), prefetch_(rule.prefetch) {
  for (GroupExchange& exchange : exchanges) {
    bool is_used = false;
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      if (!uses(*stage.layers()[layer], exchange.group())) continue;
      layers_[layer].push_back(exchanges_.size());
      is_used = true;
    }
    if (!is_used) continue;
    exchange.add_stage();
    exchanges_.push_back(&exchange);
    visits_.push_back(visits_of(exchange, rule));
  }
}

void StageGroups::unshard() {
  for (GroupExchange* exchange : exchanges_) exchange->unshard();
}

void StageGroups::require() {
  if (gathers_ != GatherWhen::planned) return;
  for (GroupExchange* exchange : exchanges_) exchange->require();
}

void StageGroups::reduce() {
  for (std::size_t index = 0; index < exchanges_.size(); ++index)
    if (!visits_[index].reduces) exchanges_[index]->stage_is_done();
}

void StageGroups::expect_final(bool expected) {
  for (GroupExchange* exchange : exchanges_) exchange->expect_final(expected);
}

void StageGroups::progress() {
  for (GroupExchange* exchange : exchanges_) exchange->progress();
}

void StageGroups::record(RunRecorder* recorder) {
  for (GroupExchange* exchange : exchanges_) exchange->record(recorder);
}

ShardedParameters::ShardedParameters(Device& device, ParameterStore& store, Mesh& mesh,
                                     const std::vector<std::unique_ptr<Stage>>& stages, const RoomRule& rule)
    : repeated_(mesh) {
  for (const ParameterGroup& group : store.groups())
    exchanges_.emplace_back(device, store, group, mesh.group(group.over).tensors, repeated_,
                            rooms_[group.weight_room]);
  for (const auto& stage : stages) stages_.emplace_back(*stage, exchanges_, rule);
}

void ShardedParameters::start_step(GradientReducer* replicas) {
  replicas_ = replicas;
  for (GroupExchange& exchange : exchanges_) exchange.start_step(replicas);
}

void ShardedParameters::finish_step() {
  for (GroupExchange& exchange : exchanges_) exchange.finish_step();
  if (replicas_) replicas_->wait_all();
}

void ShardedParameters::weights_changed() {
  for (GroupExchange& exchange : exchanges_) exchange.weights_changed();
}

GroupExchange* ShardedParameters::first_gathered() {
  const StageGroups& first = stages_.front();
  return first.visits().empty() || !first.visits().front().gathers ? nullptr : first.exchanges().front();
}

}  // namespace caravan
