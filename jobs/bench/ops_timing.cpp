#include "jobs/bench/ops_timing.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds of `calls` calls together.
double time_calls(Device& device, const std::function<void()>& work, int calls) {
  const auto start = Clock::now();
  for (int call = 0; call < calls; ++call) work();
  device.synchronize();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

double median_seconds(Device& device, const std::function<void()>& work, const TimingRule& rule) {
  time_calls(device, work, 1);
  const double first = time_calls(device, work, 1);
  // So long a measurement keeps the clock out of the figure, and waiting for a device's queue, some 10 µs.
  const double window = device.memory() == Memory::host ? 1e-4 : 2e-3;
  const int calls = std::clamp(static_cast<int>(window / std::max(first, 1e-9)), 1, 1000);
  std::vector<double> seconds;
  for (double total = 0; total < rule.least_seconds || std::ssize(seconds) < rule.least_repeats;
       total += seconds.back() * calls) {
    seconds.push_back(time_calls(device, work, calls) / calls);
  }
  std::nth_element(seconds.begin(), seconds.begin() + std::ssize(seconds) / 2, seconds.end());
  return seconds[seconds.size() / 2];
}

}  // namespace caravan::jobs
