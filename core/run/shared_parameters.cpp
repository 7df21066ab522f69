#include "core/run/shared_parameters.hpp"
#include "core/run/message_tags.hpp"

#include <algorithm>

namespace caravan {
namespace {

const Fragment* find(const ParameterStore& store, const std::string& name) {
  const auto& all = store.fragments();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const Fragment& each) { return each.parameter->spec().name == name; });
  return found == all.end() ? nullptr : &*found;
}

/// What lies between the begin of `all` and its end, without `left_out` (ascending, inside `all`).
std::vector<TensorView> without(const TensorView& all, const std::vector<TensorView>& left_out) {
  std::vector<TensorView> pieces;
  auto* begin = static_cast<float*>(all.data);
  const auto add = [&](float* end) {
    if (end > begin) pieces.emplace_back(begin, DType::f32, Shape{end - begin});
  };
  for (const TensorView& hole : left_out) {
    add(static_cast<float*>(hole.data));
    begin = static_cast<float*>(hole.data) + hole.count();
  }
  add(static_cast<float*>(all.data) + all.count());
  return pieces;
}

/// What another tensor rank answers for.
void leave_out_copies(const ParameterStore& store, std::vector<TensorView>& left_out) {
  const auto is_left_out = [&](const Fragment& fragment) {
    return std::any_of(left_out.begin(), left_out.end(),
                       [&](const TensorView& view) { return view.data == fragment.grad.data; });
  };
  for (const Fragment& fragment : store.fragments()) {
    if (fragment.grad.empty() || fragment.count() == 0 || is_left_out(fragment)) continue;
    for (const PartOfFragment& each : parts_of(fragment, fragment.grad))
      if (!fragment.parameter->counts(each.part)) left_out.push_back(each.view);
  }
}

}  // namespace

SharedParameters::SharedParameters(Device& device, const ParameterStore& store, Communicator& pipeline,
                                   const std::vector<SharedParameter>& shared)
    : ops_(device.ops()), device_(device), pipeline_(pipeline) {
  std::vector<TensorView> left_out;
  std::size_t largest = 0;
  for (const SharedParameter& each : shared) {
    const Fragment* fragment = find(store, each.name);
    if (!fragment || fragment->count() == 0 || !fragment->parameter->is_trained()) continue;
    copies_.push_back({fragment->grad, each.ranks});
    largest = std::max(largest, fragment->grad.bytes());
    if (each.ranks.front() != pipeline.rank()) left_out.push_back(fragment->grad);
  }
  for (const auto& parameter : store.parameters()) {
    if (!parameter->squares.empty()) left_out.push_back(parameter->grad);
  }
  leave_out_copies(store, left_out);
  std::sort(left_out.begin(), left_out.end(),
            [](const TensorView& a, const TensorView& b) { return a.data < b.data; });
  unsquared_ = without(store.all_gradients(), left_out);
  if (largest > 0) memory_ = std::make_unique<Arena>(device, largest + Arena::kAlignment, "shared gradients");
}

void SharedParameters::sum_and_return(const Copy& copy) {
  ArenaScope scope(*memory_);
  const TensorView other = memory_->take(DType::f32, copy.grad.shape);
  for (std::size_t index = 1; index < copy.ranks.size(); ++index) {
    Ticket received = pipeline_.post_recv(other, copy.ranks[index], kSharedGradientTag);
    pipeline_.wait(received);
    ops_.add({other, copy.grad});
    device_.synchronize();  // before `other` is received into, or the sum sent
  }
  for (std::size_t index = 1; index < copy.ranks.size(); ++index) {
    Ticket sent = pipeline_.post_send(copy.grad, copy.ranks[index], kSharedGradientTag);
    pipeline_.wait(sent);
  }
}

void SharedParameters::sum_gradients() {
  for (const Copy& copy : copies_) {
    if (copy.ranks.front() == pipeline_.rank()) {
      sum_and_return(copy);
      continue;
    }
    Ticket sent = pipeline_.post_send(copy.grad, copy.ranks.front(), kSharedGradientTag);
    pipeline_.wait(sent);
    Ticket received = pipeline_.post_recv(copy.grad, copy.ranks.front(), kSharedGradientTag);
    pipeline_.wait(received);
  }
}

}  // namespace caravan
