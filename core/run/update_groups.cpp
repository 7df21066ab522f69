#include "core/run/update_groups.hpp"

#include <algorithm>

namespace caravan {
namespace {

/// Elements from the begin of `a` to that of `b`, or −1 where that is no whole number of them.
std::int64_t distance(const TensorView& a, const TensorView& b) {
  const std::ptrdiff_t bytes = static_cast<const char*>(b.data) - static_cast<const char*>(a.data);
  const auto size = static_cast<std::ptrdiff_t>(size_of(a.dtype));
  return bytes % size == 0 ? bytes / size : -1;
}

/// `next` follows the end of `group` after a gap of alignment, and by the same distance in every arena.
bool follows(const Parameter& group, const Parameter& next) {
  constexpr std::int64_t kMostGap = 64;
  const std::int64_t by = distance(group.master, next.master), count = group.master.count();
  if (group.spec().kind != next.spec().kind || by < count || by > count + kMostGap) return false;
  if (distance(group.grad, next.grad) != by || distance(group.weight, next.weight) != by) return false;
  for (std::size_t slot = 0; slot < group.slots.size(); ++slot) {
    if (distance(group.slots[slot], next.slots[slot]) != by) return false;
  }
  return true;
}

TensorView flat(const TensorView& view, std::int64_t count) {
  return TensorView(view.data, view.dtype, {count});
}

/// `from`'s memory, and what follows up to `count` elements.
Parameter flat(const Parameter& from, std::int64_t count) {
  Parameter group(
      ParameterSpec::whole(from.spec().name, {count}, from.spec().kind, from.spec().parts.front().initial));
  group.weight = flat(from.weight, count);
  group.master = flat(from.master, count);
  group.grad = flat(from.grad, count);
  for (const TensorView& slot : from.slots) group.slots.push_back(flat(slot, count));
  return group;
}

}  // namespace

std::vector<Parameter> update_groups(const ParameterStore& store, const Optimizer& optimizer) {
  std::vector<const Parameter*> all;
  for (const auto& parameter : store.parameters()) all.push_back(parameter.get());
  std::sort(all.begin(), all.end(),
            [](const Parameter* a, const Parameter* b) { return a->master.data < b->master.data; });
  std::vector<Parameter> groups;
  for (const Parameter* parameter : all) {
    if (groups.empty() || !optimizer.is_elementwise() || !follows(groups.back(), *parameter)) {
      groups.push_back(*parameter);
      continue;
    }
    const std::int64_t count = distance(groups.back().master, parameter->master) + parameter->master.count();
    groups.back() = flat(groups.back(), count);
  }
  return groups;
}

}  // namespace caravan
