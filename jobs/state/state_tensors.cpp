#include "jobs/state/state_tensors.hpp"

#include <algorithm>

namespace caravan::jobs {
namespace {

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<StateTensor> state_tensors(const ParameterStore& store, const std::vector<std::string>& slots,
                                       const std::vector<std::string>& left_out) {
  std::vector<StateTensor> tensors;
  const auto add = [&](const std::string& group, auto is_kept, auto view_of) {
    for (const Fragment& fragment : store.fragments()) {
      if (!is_kept(fragment)) continue;
      const std::string& name = fragment.parameter->spec().name;
      if (contains(left_out, name)) continue;
      const TensorView view = view_of(fragment);
      tensors.push_back({&fragment, group, name,
                         view.empty() ? TensorView(nullptr, DType::f32, {fragment.count()}) : view});
    }
  };
  add(
      std::string(StateTensor::kWeightsGroup), [](const Fragment&) { return true; },
      [](const Fragment& f) { return f.parameter->is_trained() ? f.master : f.weight; });
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    add(
        "/optimizer/" + slots[slot] + "/", [&](const Fragment& f) { return f.parameter->keeps(slot); },
        [&](const Fragment& f) { return slot < f.slots.size() ? f.slots[slot] : TensorView{}; });
  }
  for (const auto& buffer : store.buffers()) {
    if (buffer->role != Buffer::Role::state) continue;
    tensors.push_back(
        {nullptr, "/state/", buffer->name, TensorView(buffer->data.data, DType::f32, buffer->shape)});
  }
  return tensors;
}

std::vector<StatePart> parts_of(const StateTensor& tensor, const TensorView& whole) {
  if (!tensor.fragment) return {{tensor.group + tensor.name, whole.shape, Box::whole(whole.shape), whole}};
  std::vector<StatePart> parts;
  const Parameter& parameter = *tensor.fragment->parameter;
  for (const PartOfFragment& each : caravan::parts_of(*tensor.fragment, whole))
    parts.push_back({tensor.group + parameter.spec().parts[each.part].name, parameter.part_shape(each.part),
                     each.box, each.view, parameter.counts(each.part)});
  return parts;
}

std::vector<std::string> not_owned(const std::vector<SharedParameter>& shared, int rank) {
  std::vector<std::string> names;
  for (const SharedParameter& each : shared) {
    const bool holds = std::find(each.ranks.begin(), each.ranks.end(), rank) != each.ranks.end();
    if (holds && each.ranks.front() != rank) names.push_back(each.name);
  }
  return names;
}

}  // namespace caravan::jobs
