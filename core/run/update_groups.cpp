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

/// One call may update both.
bool is_alike(const UpdateGroup& group, const UpdateGroup& next) {
  const auto keep_alike = [](const TensorView& a, const TensorView& b) { return a.empty() == b.empty(); };
  return group.kind == next.kind && group.lr_factor == next.lr_factor &&
         group.weight_decay == next.weight_decay && group.by_matrix == next.by_matrix &&
         std::equal(group.slots.begin(), group.slots.end(), next.slots.begin(), keep_alike);
}

/// `next` follows the end of `group` after a gap of alignment, and by the same distance in every arena.
bool follows(const UpdateGroup& group, const UpdateGroup& next) {
  constexpr std::int64_t kMostGap = 64;
  const std::int64_t by = distance(group.master, next.master), count = group.master.count();
  if (!is_alike(group, next) || by < count || by > count + kMostGap) return false;
  if (distance(group.grad, next.grad) != by) return false;
  if (!group.weight.empty() && distance(group.weight, next.weight) != by) return false;
  for (std::size_t slot = 0; slot < group.slots.size(); ++slot) {
    if (!group.slots[slot].empty() && distance(group.slots[slot], next.slots[slot]) != by) return false;
  }
  return true;
}

void reshape(UpdateGroup& group, const Shape& shape) {
  const auto to_shape = [&](TensorView& view) {
    if (!view.empty()) view = TensorView(view.data, view.dtype, shape);
  };
  for (TensorView* view : {&group.master, &group.weight, &group.grad}) to_shape(*view);
  for (TensorView& slot : group.slots) to_shape(slot);
}

UpdateGroup group_of(const Fragment& fragment) {
  const ParameterSpec& spec = fragment.parameter->spec();
  const bool copies = fragment.weight.data != fragment.master.data;
  const UpdateRule& rule = fragment.parameter->update_rule();
  return {spec.name,     spec.kind,      fragment.master,   copies ? fragment.weight : TensorView{},
          fragment.grad, fragment.slots, rule.weight_decay, rule.lr_factor,
          rule.by_matrix};
}

}  // namespace

std::vector<UpdateGroup> update_groups(const ParameterStore& store, const Optimizer& optimizer) {
  std::vector<const Fragment*> all;
  for (const Fragment& fragment : store.fragments()) {
    if (fragment.count() > 0 && fragment.parameter->is_trained()) all.push_back(&fragment);
  }
  std::sort(all.begin(), all.end(),
            [](const Fragment* a, const Fragment* b) { return a->master.data < b->master.data; });
  std::vector<UpdateGroup> groups;
  for (const Fragment* fragment : all) {
    UpdateGroup next = group_of(*fragment);
    if (!optimizer.is_elementwise()) {
      reshape(next, fragment->parameter->shape());
      groups.push_back(std::move(next));
    } else if (groups.empty() || !follows(groups.back(), next)) {
      groups.push_back(std::move(next));
    } else {
      reshape(groups.back(), {distance(groups.back().master, next.master) + next.master.count()});
    }
  }
  return groups;
}

}  // namespace caravan
