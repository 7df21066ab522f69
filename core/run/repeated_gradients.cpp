#include "core/run/repeated_gradients.hpp"

#include "caravan/check.hpp"

namespace caravan {

Communicator& RepeatedGradients::neighbours(int copies) {
  if (copies == all_.size()) return all_;
  std::unique_ptr<Communicator>& some = some_[copies];
  if (!some) some = all_.split(all_.rank() / copies, all_.rank(), "tp/" + std::to_string(copies));
  return *some;
}

void RepeatedGradients::add(const TensorView& slice, Communicator& ranks) {
  CARAVAN_EXPECT(slice.contiguous());
  if (!runs_.empty() && runs_.back().ranks == &ranks) {
    TensorView& last = runs_.back().values;
    if (last.as<float>() + last.count() == slice.as<float>()) {
      last = TensorView(last.data, DType::f32, {last.count() + slice.count()});
      return;
    }
  }
  runs_.push_back({TensorView(slice.data, DType::f32, {slice.count()}), &ranks});
}

void RepeatedGradients::sum(std::span<Parameter* const> parameters) {
  if (all_.size() == 1) return;
  runs_.clear();
  for (const Parameter* parameter : parameters) {
    if (!parameter->is_trained()) continue;
    for (std::size_t part = 0; part < parameter->spec().parts.size(); ++part) {
      const int copies = parameter->copies(part);
      if (copies > 1) add(parameter->part(parameter->grad, part), neighbours(copies));
    }
  }
  for (Run& run : runs_) run.ticket = run.ranks->post_all_reduce(run.values, ReduceOp::sum);
  for (Run& run : runs_) run.ranks->wait(run.ticket);
}

}  // namespace caravan
