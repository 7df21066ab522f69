#include "jobs/bench/ops_run.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <string_view>

#include "caravan/error.hpp"
#include "caravan/log.hpp"
#include "jobs/bench/device_limits.hpp"

namespace caravan::jobs {
namespace {

/// Stream bandwidth by size, a power of two at a time, measured once each.
class StreamLimits {
 public:
  explicit StreamLimits(Device& device) : device_(device) {}

  double of(double bytes) {
    constexpr std::int64_t kLeast = 4096;
    // Past every cache, and long beside a launch.
    const std::int64_t most = std::int64_t{1} << (device_.memory() == Memory::host ? 28 : 30);
    const auto size = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(bytes)));
    const std::int64_t step = std::clamp(size, kLeast, most);
    const auto [found, is_new] = measured_.try_emplace(step, 0.0);
    if (is_new) found->second = measure_stream_bandwidth(device_, step);
    return found->second;
  }

 private:
  Device& device_;
  std::map<std::int64_t, double> measured_;
};

/// What one operator is measured against and how.
struct Limits {
  double peak_flops;
  StreamLimits streams;
  TimingRule rule;
};

OpResult measure(Device& device, const NamedCase& named, const OpsShape& shape, Limits& limits) {
  BenchMemory memory(device);
  const OpCase one = named.make(memory, shape);
  OpResult result{named.name, one.bytes, one.flops, 0, limits.streams.of(one.bytes), 0};
  result.seconds = median_seconds(
      device, [&] { one.run(device.ops()); }, limits.rule);
  const double compute = limits.peak_flops > 0 ? one.flops / limits.peak_flops : 0;
  result.fraction = std::max(compute, one.bytes / result.stream_bandwidth) / result.seconds;
  return result;
}

}  // namespace

OpsReport measure_ops(Device& device, const OpsShape& shape, const OpsSelection& selection) {
  OpsReport report{device.description(), {}, shape, {}};
  report.peak = device.memory() == Memory::host ? measure_fma_peak() : measure_matrix_rate(device);
  Limits limits{report.peak.flops_per_s, StreamLimits(device), selection.timing};
  for (const auto* group :
       {&linear_cases(), &attention_cases(), &expert_cases(), &elementwise_cases(), &loss_cases()}) {
    for (const NamedCase& named : *group) {
      if (std::string_view(named.name).find(selection.only) == std::string_view::npos) continue;
      try {
        report.results.push_back(measure(device, named, shape, limits));
      } catch (const DeviceError& error) {
        log_warning(error.what());
      }
    }
  }
  return report;
}

}  // namespace caravan::jobs
