#include "jobs/bench/step.hpp"

#include <algorithm>

#include "jobs/bench/device_limits.hpp"
#include "jobs/bench/peer.hpp"
#include "jobs/bench/rank_devices.hpp"
#include "jobs/bench/trace.hpp"

namespace caravan::jobs {
namespace {

/// What would fail after the steps fails before anything is timed.
void prepare_profile(const StepBenchmark& benchmark, Device& device) {
  if (!benchmark.trace.empty()) prepare_traces(benchmark.trace);
  if (benchmark.profiled == 0) return;
  device.start_recording();  // refused by a device that keeps no record
  device.stop_recording();
}

Profile profile_steps(const StepBenchmark& benchmark, SyntheticTraining& training, int rank) {
  if (benchmark.profiled == 0) return {};
  Device& device = training.setup().device();
  device.start_recording();
  training.run(benchmark.profiled);
  const std::vector<DeviceActivity> activities = device.stop_recording();
  if (!benchmark.trace.empty()) write_trace(benchmark.trace, rank, activities);
  return summarise(activities);
}

}  // namespace

StepTiming time_steps(const StepBenchmark& benchmark, Communicator& world) {
  SyntheticTraining training(resolve_job(job_tree(benchmark.job)), world);
  TrainSetup& setup = training.setup();
  prepare_profile(benchmark, setup.device());
  const std::string peer_command =
      benchmark.peer.empty() || world.rank() != 0
          ? ""
          : write_peer(setup, benchmark.peer, world.size() * static_cast<int>(threads_of_rank()));
  std::vector<double> seconds;
  for (int index = 0; index < benchmark.warmup + benchmark.repeats; ++index) {
    const double elapsed = training.step();
    if (index >= benchmark.warmup) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  training.run(0);
  const std::string device = setup.device().description();
  const RankDevices devices = measure_rank_devices(setup.device(), world);
  const Profile profile = profile_steps(benchmark, training, world.rank());
  return {
      .device = device,
      .precision = std::string(name_of(setup.compute())),
      .devices = devices.all,
      .median_s = seconds[seconds.size() / 2],
      .fastest_s = seconds.front(),
      .slowest_s = seconds.back(),
      .step_flops = setup.step_flops(),
      .step_tokens = setup.share().global_batch * setup.shape().sequence_length(),
      .parameters = setup.whole_model().parameters().count(),
      .sequence_length = setup.shape().sequence_length(),
      .datasheet_flops = setup.compute() == DType::bf16 ? datasheet_rate(device) : 0,
      .peak = devices.peak,
      .profile = profile,
      .profiled_ranks = benchmark.profiled > 0 ? times_of_ranks(profile, world) : std::vector<DeviceTimes>(),
      .peer_command = peer_command};
}

}  // namespace caravan::jobs
