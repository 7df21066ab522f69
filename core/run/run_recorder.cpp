#include "core/run/run_recorder.hpp"

namespace caravan {
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

void RunRecorder::visited(ActionKind kind, const Visit& visit, std::string_view layer) {
  visits_.push_back({kind, visit.segment->name(), layer, {visit_began_, computed()}});
}

std::size_t RunRecorder::exchange_begins(ActionKind kind, Lane lane, std::string_view name,
                                         std::string_view layer) {
  const double now = seconds();
  exchanges_.push_back({kind, name, layer, {now, now}, lane});
  return exchanges_.size() - 1;
}

}  // namespace caravan
