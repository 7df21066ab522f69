#include "core/run/run_recorder.hpp"

namespace caravan {
namespace {

/// What is no layer's and takes the compute lane's time makes room for gradients.
ActionKind kind_of(Visit::What what) {
  switch (what) {
    case Visit::What::repeated_forward:
      return ActionKind::recompute;
    case Visit::What::backward_input:
      return ActionKind::backward_input;
    case Visit::What::backward_weight:
      return ActionKind::backward_weight;
    case Visit::What::exchange:
      return ActionKind::reduce_gradients;
    default:
      return ActionKind::forward;
  }
}

}  // namespace

void RunRecorder::start() {
  visits_.clear();
  exchanges_.clear();
  start_ = std::chrono::steady_clock::now();
}

double RunRecorder::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

double RunRecorder::computed() {
  device_.await(device_.record(Lane::compute));
  return seconds();
}

void RunRecorder::visited(const Visit& visit, std::string_view layer) {
  visits_.push_back({kind_of(visit.what), visit.segment->name(), layer, {visit_began_, computed()}});
}

std::size_t RunRecorder::exchange_begins(const Visit& visit, std::string_view layer) {
  return exchange_begins(kind_of(visit.what), visit.segment->name(), layer);
}

std::size_t RunRecorder::exchange_begins(ActionKind kind, std::string_view name, std::string_view layer) {
  const double now = seconds();
  exchanges_.push_back({kind, name, layer, {now, now}});
  return exchanges_.size() - 1;
}

}  // namespace caravan
