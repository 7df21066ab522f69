// What a ParameterStore does with parameters in groups; those that are whole are in parameter_store.cpp.
#include <algorithm>
#include <map>
#include <unordered_map>

#include "caravan/check.hpp"
#include "core/run/parameter_groups.hpp"

namespace caravan {
namespace {

/// The elements of `parameter` that lie in the group's stretch, none where it lies elsewhere.
AxisRange kept_of(const ParameterGroup& group, std::size_t index) {
  const std::int64_t begin = group.offsets[index], count = group.parameters[index]->shape().count();
  const std::int64_t first = std::clamp<std::int64_t>(group.stretch.begin - begin, 0, count);
  return {first, std::clamp<std::int64_t>(group.stretch.end - begin, first, count)};
}

bool keeps_stretch(const ParameterGroup& group, std::size_t slot) {
  return std::all_of(group.parameters.begin(), group.parameters.end(),
                     [&](const Parameter* parameter) { return parameter->keeps(slot); });
}

/// Elements of the largest group that uses each room.
using RoomSizes = std::map<int, std::int64_t>;

void grow(RoomSizes& rooms, int room, std::int64_t elements) {
  rooms[room] = std::max(rooms[room], elements);
}

struct AllRooms {
  RoomSizes weights, gradients, sums;
  explicit AllRooms(const std::vector<ParameterGroup>& groups) {
    for (const ParameterGroup& group : groups) {
      if (!group.is_divided()) continue;
      grow(weights, group.weight_room, group.elements);
      if (group.sums_stretches()) grow(gradients, group.gradient_room, group.elements);
      if (group.shares_gradient_room) grow(sums, group.gradient_room, group.stretch.size());
    }
  }
};

std::map<int, TensorView> take_rooms(Arena& arena, DType dtype, const RoomSizes& sizes) {
  std::map<int, TensorView> rooms;
  for (const auto& [room, elements] : sizes) rooms[room] = arena.take(dtype, {elements});
  return rooms;
}

std::size_t bytes_of(DType dtype, const RoomSizes& rooms) {
  Arena arena = Arena::measuring("rooms");
  take_rooms(arena, dtype, rooms);
  return arena.used();
}

/// Of the groups that a filter lets through.
template <class Filter>
std::size_t bytes_of_stretches(DType dtype, std::span<const ParameterGroup> groups, const Filter& filter) {
  Arena arena = Arena::measuring("stretches");
  for (const ParameterGroup& group : groups)
    if (filter(group)) arena.take(dtype, {group.stretch.size()});
  return arena.used();
}

/// The part of a stretch that belongs to a fragment of the group's parameter `index`.
TensorView in_stretch(const TensorView& stretch, const ParameterGroup& group, std::size_t index,
                      const Fragment& fragment) {
  const std::int64_t begin = group.offsets[index] + fragment.begin - group.stretch.begin;
  return fragment.count() == 0 ? TensorView(stretch.data, stretch.dtype, {0})
                               : stretch.rows(begin, begin + fragment.count());
}

/// The group's parameter `index` in the room where the group is whole.
TensorView whole_in(const TensorView& room, const ParameterGroup& group, std::size_t index) {
  const Shape& shape = group.parameters[index]->shape();
  return room.rows(group.offsets[index], group.offsets[index] + shape.count()).reshape(shape);
}

/// The same of its gradient, of which there may be rows alone.
TensorView gradient_in(const TensorView& gradients, const ParameterGroup& group, std::size_t index) {
  if (!group.sums_rows) return whole_in(gradients, group, index);
  Shape shape = group.parameters[index]->shape();
  shape.set(0, group.parameters[index]->gradient_rows().size());
  return gradients.rows(0, shape.count()).reshape(shape);
}

AxisRange rows_of(const AxisRange& elements, const Shape& shape) {
  const std::int64_t width = shape.count() / shape[0];
  return {elements.begin / width, elements.end / width};
}

std::unordered_map<const Parameter*, Fragment*> by_parameter(std::vector<Fragment>& fragments) {
  std::unordered_map<const Parameter*, Fragment*> all;
  for (Fragment& fragment : fragments) all[fragment.parameter] = &fragment;
  return all;
}

}  // namespace

void ParameterStore::divide(std::vector<ParameterGroup> groups) {
  CARAVAN_EXPECT(arenas_.empty() && !groups_);
  groups_ = std::make_unique<std::vector<ParameterGroup>>(std::move(groups));
  const auto fragments = by_parameter(fragments_);
  for (const ParameterGroup& group : *groups_) {
    for (std::size_t index = 0; index < group.parameters.size(); ++index) {
      Fragment& fragment = *fragments.at(group.parameters[index]);
      const AxisRange kept = kept_of(group, index);
      fragment.begin = kept.begin;
      fragment.end = kept.end;
      Parameter& parameter = *group.parameters[index];
      if (group.sums_rows) parameter.gradient_rows_ = rows_of(kept, parameter.shape());
    }
  }
}

std::span<const ParameterGroup> ParameterStore::groups() const noexcept {
  return groups_ ? std::span<const ParameterGroup>(*groups_) : std::span<const ParameterGroup>();
}

ParameterStore::Memory ParameterStore::memory_of_groups(Content content) const {
  const bool trains = content == Content::weights_and_gradients;
  const std::size_t kept = bytes_of_stretches(DType::f32, *groups_,
                                              [](const ParameterGroup& group) { return group.is_trained(); });
  const AllRooms rooms(*groups_);
  Memory need{.weights = bytes_of_stretches(compute_, *groups_, [](const ParameterGroup&) { return true; }),
              .masters = trains && compute_ != DType::f32 ? kept : 0,
              .gradients = trains ? kept : 0};
  need.weight_rooms = bytes_of(compute_, rooms.weights);
  if (trains) need.gradient_rooms = bytes_of(DType::f32, rooms.gradients) + bytes_of(DType::f32, rooms.sums);
  return need;
}

void ParameterStore::place_stretches(Arena& arena, DType dtype, const PlaceStretch& place, Of which) {
  const auto fragments = by_parameter(fragments_);
  for (ParameterGroup& group : *groups_) {
    if (which == Of::trained && !group.is_trained()) continue;
    const TensorView stretch = arena.take(dtype, {group.stretch.size()});
    place.of_group(group) = stretch;
    for (std::size_t index = 0; index < group.parameters.size(); ++index) {
      Fragment& fragment = *fragments.at(group.parameters[index]);
      place.of_fragment(fragment) = in_stretch(stretch, group, index, fragment);
    }
  }
}

void ParameterStore::place_group_weights(const Memory& need) {
  const auto weights = [](ParameterGroup& group) -> TensorView& { return group.own_weights; };
  const auto weight = [](Fragment& fragment) -> TensorView& { return fragment.weight; };
  const auto master = [](Fragment& fragment) -> TensorView& { return fragment.master; };
  place_stretches(open(need.weights, "weights"), compute_, {weights, weight});
  if (compute_ == DType::f32) {
    for (Fragment& fragment : fragments_) fragment.master = fragment.weight;
  } else if (need.masters > 0) {
    TensorView of_group;  // a group has no use for it
    place_stretches(open(need.masters, "master weights"), DType::f32,
                    {[&](ParameterGroup&) -> TensorView& { return of_group; }, master}, Of::trained);
  }
  Arena& arena = open(need.weight_rooms, "gathered weights");
  const auto rooms = take_rooms(arena, compute_, AllRooms(*groups_).weights);
  for (ParameterGroup& group : *groups_) {
    group.weights =
        group.is_divided() ? rooms.at(group.weight_room).rows(0, group.elements) : group.own_weights;
    for (std::size_t index = 0; index < group.parameters.size(); ++index)
      group.parameters[index]->weight = whole_in(group.weights, group, index);
  }
}

void ParameterStore::place_group_gradients(const Memory& need) {
  const auto gradients = [](ParameterGroup& group) -> TensorView& { return group.own_gradients; };
  const auto grad = [](Fragment& fragment) -> TensorView& { return fragment.grad; };
  Arena& stretches = open(need.gradients, "gradients");
  place_stretches(stretches, DType::f32, {gradients, grad}, Of::trained);
  all_gradients_ =
      TensorView(stretches.base(), DType::f32, {static_cast<std::int64_t>(stretches.used() / sizeof(float))});
  Arena& arena = open(need.gradient_rooms, "whole gradients");
  const AllRooms sizes(*groups_);
  const auto rooms = take_rooms(arena, DType::f32, sizes.gradients),
             sums = take_rooms(arena, DType::f32, sizes.sums);
  for (ParameterGroup& group : *groups_) {
    if (!group.is_trained()) continue;
    group.gradients =
        group.sums_stretches() ? rooms.at(group.gradient_room).rows(0, group.elements) : group.own_gradients;
    if (group.shares_gradient_room) group.sum = sums.at(group.gradient_room).rows(0, group.stretch.size());
    for (std::size_t index = 0; index < group.parameters.size(); ++index)
      group.parameters[index]->grad = gradient_in(group.gradients, group, index);
  }
}

/// A stretch like the others where all its parameters keep the slot, else of each that does its own.
void ParameterStore::place_group_slot(Arena& arena, std::size_t slot) {
  for (Fragment& fragment : fragments_) fragment.slots.emplace_back();
  const auto fragments = by_parameter(fragments_);
  for (const ParameterGroup& group : *groups_) {
    const TensorView stretch =
        keeps_stretch(group, slot) ? arena.take(DType::f32, {group.stretch.size()}) : TensorView{};
    for (std::size_t index = 0; index < group.parameters.size(); ++index) {
      if (!group.parameters[index]->keeps(slot)) continue;
      Fragment& fragment = *fragments.at(group.parameters[index]);
      fragment.slots.back() = stretch.empty() ? arena.take(DType::f32, {fragment.count()})
                                              : in_stretch(stretch, group, index, fragment);
    }
  }
}

std::size_t ParameterStore::slot_bytes_of_groups(std::size_t slot) const {
  Arena arena = Arena::measuring("slot");
  for (const ParameterGroup& group : *groups_) {
    if (keeps_stretch(group, slot)) {
      arena.take(DType::f32, {group.stretch.size()});
      continue;
    }
    for (std::size_t index = 0; index < group.parameters.size(); ++index)
      if (group.parameters[index]->keeps(slot)) arena.take(DType::f32, {kept_of(group, index).size()});
  }
  return arena.used();
}

void ParameterStore::start_gradients(Device& device, const ParameterGroup& group) {
  for (Parameter* parameter : group.parameters) parameter->stale_ = parameter->gradient_is_replaced();
  for (const AxisRange& range : group.cleared) {
    const TensorView rows = group.gradients.rows(range.begin, range.end);
    device.fill_zero(Lane::compute, rows.data, rows.bytes());
  }
}

void ParameterStore::finish_gradients(Device& device, const ParameterGroup& group) {
  for (Parameter* parameter : group.parameters) finish_gradient(device, *parameter);
}

}  // namespace caravan
