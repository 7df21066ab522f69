#include "jobs/bench/read_rate.hpp"

#include <sched.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "caravan/ops.hpp"
#include "jobs/bench/ops_memory.hpp"
#include "jobs/bench/ops_timing.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;
typedef std::int64_t Line __attribute__((vector_size(64), aligned(64)));

constexpr std::size_t kRepeats = 15;

int usable_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

/// Sums that nobody wants, so that every line is read; eight at a time, so that none waits for another.
void read(const Line* from, std::int64_t count) {
  Line sums[8] = {};
  for (std::int64_t i = 0; i + 8 <= count; i += 8)
    for (int k = 0; k < 8; ++k) sums[k] += from[i + k];
  for (Line& sum : sums) asm volatile("" : : "m"(sum));
}

/// When one thread began and ended each repeat.
using Spans = std::vector<std::pair<Clock::time_point, Clock::time_point>>;

/// Of the fastest repeat, as a limit is what can be reached: from the first thread that begins to the last
/// that ends, as all begin together.
double fastest_span(const std::vector<Spans>& threads) {
  double fastest = std::numeric_limits<double>::infinity();
  for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
    Clock::time_point first = Clock::time_point::max(), last = Clock::time_point::min();
    for (const Spans& spans : threads) {
      first = std::min(first, spans[repeat].first);
      last = std::max(last, spans[repeat].second);
    }
    fastest = std::min(fastest, std::chrono::duration<double>(last - first).count());
  }
  return fastest;
}

/// All threads read their shares at the same time.
double host_rate(const Line* data, std::int64_t lines) {
  const int threads = usable_cores();
  std::vector<Spans> spans(static_cast<std::size_t>(threads));
  std::barrier begin(threads);
  {
    std::vector<std::jthread> workers;
    for (int thread = 0; thread < threads; ++thread)
      workers.emplace_back([&, thread] {
        const std::int64_t first = lines * thread / threads, last = lines * (thread + 1) / threads;
        for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
          begin.arrive_and_wait();
          const auto start = Clock::now();
          read(data + first, last - first);
          spans[static_cast<std::size_t>(thread)].emplace_back(start, Clock::now());
        }
      });
  }
  return static_cast<double>(lines) * sizeof(Line) / fastest_span(spans);
}

}  // namespace

double measure_read_rate(Device& device, std::int64_t bytes) {
  BenchMemory memory(device);
  const std::int64_t lines = std::max<std::int64_t>(bytes / 64, 1024);
  const TensorView data = memory.zeros(DType::f32, {lines * 16});
  if (device.memory() == Memory::host) return host_rate(data.as<Line>(), lines);
  const TensorView sum = memory.zeros(DType::f64, {1});
  return static_cast<double>(data.bytes()) / median_seconds(device, [&] {
           device.ops().sum_of_squares({data, sum});
         });
}

}  // namespace caravan::jobs
