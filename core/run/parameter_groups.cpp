#include "core/run/parameter_groups.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "caravan/check.hpp"
#include "core/run/memory_order.hpp"

namespace caravan {
namespace {

std::int64_t rounded_up(std::int64_t count, std::int64_t multiple) {
  return (count + multiple - 1) / multiple * multiple;
}

std::int64_t share_in_rows(const Parameter& parameter, std::int64_t ranks) {
  const std::int64_t rows = parameter.shape()[0];
  return (rows + ranks - 1) / ranks * (parameter.shape().count() / rows);
}

}  // namespace

std::int64_t ParameterGroup::share_of(std::int64_t elements, std::int64_t ranks) {
  return rounded_up((elements + ranks - 1) / ranks, kAlignment);
}

ParameterGroup::ParameterGroup(std::string name_, std::vector<Parameter*> parameters_, MeshAxis over_,
                               const Mesh& mesh)
    : name(std::move(name_)), parameters(std::move(parameters_)), over(over_) {
  CARAVAN_EXPECT(!parameters.empty());
  std::stable_sort(parameters.begin(), parameters.end(),
                   [](const auto* a, const auto* b) { return memory_order(*a) < memory_order(*b); });
  for (const Parameter* parameter : parameters) {
    offsets.push_back(rounded_up(used, kAlignment));
    used = offsets.back() + parameter->shape().count();
  }
  CARAVAN_EXPECT(std::all_of(parameters.begin(), parameters.end(), [&](const Parameter* parameter) {
    return parameter->is_trained() == is_trained();
  }));
  sums_rows = parameters.front()->sums_rows();
  CARAVAN_EXPECT(!sums_rows || parameters.size() == 1);
  const std::int64_t ranks = mesh.degree(over);
  const std::int64_t share = sums_rows ? share_in_rows(*parameters.front(), ranks) : share_of(used, ranks);
  elements = share * ranks;
  stretch = {share * mesh.coordinate(over), share * (mesh.coordinate(over) + 1)};
  find_cleared();
}

void ParameterGroup::find_cleared() {
  if (!is_trained()) return;
  if (sums_rows) {
    cleared = {{0, stretch.size()}};
    return;
  }
  for (std::size_t index = 0; index < parameters.size(); ++index) {
    const Parameter& parameter = *parameters[index];
    const std::int64_t end = index + 1 < offsets.size() ? offsets[index + 1] : elements;
    const std::int64_t begin =
        offsets[index] + (parameter.gradient_is_replaced() ? parameter.shape().count() : 0);
    if (begin == end) continue;
    if (cleared.empty() || cleared.back().end != begin) cleared.push_back({begin, begin});
    cleared.back().end = end;
  }
}

namespace {

/// A group before its memory is laid out.
struct Members {
  std::string name;
  std::vector<Parameter*> parameters;
  bool is_expert = false;
  bool is_trained = true;
  bool is_inner = true;  ///< used by layers between the first and the last of the model only
};

class Collector {
 public:
  void add(const Stage& stage) {
    for (std::size_t index = 0; index < stage.layers().size(); ++index) {
      const bool is_end =
          (stage.is_first() && index == 0) || (stage.is_last() && index + 1 == stage.layers().size());
      for (Parameter* parameter : stage.layers()[index]->parameters())
        group_of(*parameter, stage.name(index)).is_inner &= !is_end;
    }
  }
  std::vector<Members> take() { return std::move(groups_); }

 private:
  /// The table is a group of its own on every stage that uses it, so that stretches of copies are alike.
  static std::string name_of_group(ParameterKind kind, const std::string& layer) {
    if (kind == ParameterKind::embedding) return "embedding";
    return kind == ParameterKind::expert ? layer + ".experts" : layer;
  }

  Members& group_of(Parameter& parameter, const std::string& layer) {
    if (const auto known = of_.find(&parameter); known != of_.end()) return groups_[known->second];
    const std::string name = name_of_group(parameter.spec().kind, layer);
    const Parameter* const alone = parameter.sums_rows() ? &parameter : nullptr;
    const bool is_trained = parameter.is_trained();
    auto [named, is_new] = by_name_.try_emplace({name, alone, is_trained}, groups_.size());
    if (is_new)
      groups_.push_back({is_trained ? name : name + ".frozen",
                         {},
                         parameter.spec().kind == ParameterKind::expert,
                         is_trained});
    Members& members = groups_[named->second];
    members.parameters.push_back(&parameter);
    of_[&parameter] = named->second;
    return members;
  }

  std::vector<Members> groups_;
  /// And what is a group of its own, and whether it is trained.
  std::map<std::tuple<std::string, const Parameter*, bool>, std::size_t> by_name_;
  std::map<const Parameter*, std::size_t> of_;
};

/// Rooms are numbered from 0. Groups of one class take turns in `turns` of them.
class Rooms {
 public:
  explicit Rooms(int turns) : turns_(turns) {}
  int own() { return next_++; }
  int in_turn(const Members& members) {
    const std::size_t kind = 2 * members.is_expert + members.is_trained;
    std::vector<int>& rooms = rooms_[kind];
    int& used = used_[kind];
    if (static_cast<int>(rooms.size()) < turns_) rooms.push_back(next_++);
    return rooms[static_cast<std::size_t>(used++ % turns_)];
  }

 private:
  int turns_, next_ = 0;
  std::array<std::vector<int>, 4> rooms_;
  std::array<int, 4> used_{};
};

}  // namespace

std::vector<ParameterGroup> parameter_groups(const std::vector<std::unique_ptr<Stage>>& stages,
                                             const Mesh& mesh, const RoomRule& rule) {
  Collector collector;
  for (const auto& stage : stages) collector.add(*stage);
  constexpr int kGradientTurns = 2;  // one is summed while the next is made
  Rooms weights(rule.prefetch + 1), gradients(kGradientTurns);
  std::vector<ParameterGroup> groups;
  for (Members& members : collector.take()) {
    ParameterGroup& group = groups.emplace_back(std::move(members.name), std::move(members.parameters),
                                                members.is_expert ? MeshAxis::efsdp : MeshAxis::fsdp, mesh);
    const bool is_inner = members.is_inner && group.is_divided();
    const bool turns = rule.weights_take_turns && is_inner;
    group.weight_room = turns ? weights.in_turn(members) : weights.own();
    group.shares_gradient_room =
        rule.gradients_take_turns && is_inner && !group.sums_rows && group.is_trained();
    group.sums_in_last_walk = rule.sums_in_last_walk && !group.shares_gradient_room && group.sums_stretches();
    group.gradient_room = group.shares_gradient_room ? gradients.in_turn(members) : gradients.own();
  }
  return groups;
}

}  // namespace caravan
