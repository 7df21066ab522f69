#include "jobs/train/state_tensors.hpp"

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
  const auto add = [&](const std::string& group, auto view_of) {
    for (const auto& parameter : store.parameters()) {
      const ParameterSpec& spec = parameter->spec();
      if (!contains(left_out, spec.name))
        tensors.push_back({parameter.get(), group, spec.name, spec.shape, view_of(*parameter)});
    }
  };
  add(std::string(StateTensor::kWeightsGroup), [](const Parameter& p) { return p.master; });
  for (std::size_t slot = 0; slot < slots.size(); ++slot) {
    add("/optimizer/" + slots[slot] + "/",
        [&](const Parameter& p) { return slot < p.slots.size() ? p.slots[slot] : TensorView{}; });
  }
  for (const auto& buffer : store.buffers()) {
    if (buffer->role == Buffer::Role::state)
      tensors.push_back({nullptr, "/state/", buffer->name, buffer->shape, buffer->data});
  }
  return tensors;
}

void visit_parts(const StateTensor& tensor, const TensorView& whole, const PartVisitor& visit) {
  if (!tensor.parameter) return visit(tensor.group + tensor.name, whole);
  const auto& parts = tensor.parameter->spec().parts;
  for (std::size_t index = 0; index < parts.size(); ++index)
    visit(tensor.group + parts[index].name, tensor.parameter->part(whole, index));
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
