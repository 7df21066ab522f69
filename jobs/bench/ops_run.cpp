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
  OpResult result{named.name, one.bytes, one.flops, 0, limits.streams.of(one.bytes), 0, 0};
  result.seconds = median_seconds(
      device, [&] { one.run(device.ops()); }, limits.rule);
  const double compute = limits.peak_flops > 0 ? one.flops / limits.peak_flops : 0;
  result.fraction = std::max(compute, one.bytes / result.stream_bandwidth) / result.seconds;
  return result;
}

/// "attention_forward" of "attention_forward/context".
std::string_view whole_of(std::string_view name) {
  return name.substr(0, name.find('/'));
}

bool is_wanted(std::string_view name, const std::string& only, const std::vector<NamedCase>& of_ranks) {
  const auto is_chosen = [&](std::string_view each) { return each.find(only) != std::string_view::npos; };
  return is_chosen(name) || std::any_of(of_ranks.begin(), of_ranks.end(), [&](const NamedCase& rank) {
           return whole_of(rank.name) == name && is_chosen(rank.name);
         });
}

void compare_with_whole(const std::vector<NamedCase>& of_ranks, OpsReport& report) {
  const auto find = [&](std::string_view name) {
    return std::find_if(report.results.begin(), report.results.end(),
                        [&](const OpResult& result) { return result.name == name; });
  };
  for (const NamedCase& named : of_ranks) {
    const auto rank = find(named.name), whole = find(whole_of(named.name));
    if (rank == report.results.end() || whole == report.results.end()) continue;
    rank->of_share = rank->seconds / whole->seconds * static_cast<double>(report.shape.context);
  }
}

}  // namespace

OpsReport measure_ops(Device& device, const OpsShape& shape, const OpsSelection& selection) {
  OpsReport report{device.description(), {}, shape, {}};
  report.peak = device.memory() == Memory::host ? measure_fma_peak() : measure_matrix_rate(device);
  Limits limits{report.peak.flops_per_s, StreamLimits(device), selection.timing};
  const std::vector<NamedCase> of_ranks = shape.context > 1 ? context_cases() : std::vector<NamedCase>{};
  for (const auto* group : {&linear_cases(), &attention_cases(), &of_ranks, &expert_cases(),
                            &elementwise_cases(), &loss_cases()}) {
    for (const NamedCase& named : *group) {
      if (!is_wanted(named.name, selection.only, of_ranks)) continue;
      try {
        report.results.push_back(measure(device, named, shape, limits));
      } catch (const DeviceError& error) {
        log_warning(error.what());
      }
    }
  }
  compare_with_whole(of_ranks, report);
  return report;
}

}  // namespace caravan::jobs
