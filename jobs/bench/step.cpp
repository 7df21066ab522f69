#include "jobs/bench/step.hpp"

#include <algorithm>

#include "jobs/bench/device_limits.hpp"
#include "jobs/bench/rank_devices.hpp"

namespace caravan::jobs {
namespace {

Profile profile_steps(SyntheticTraining& training, int steps) {
  if (steps == 0) return {};
  Device& device = training.setup().device();
  device.start_recording();
  training.run(steps);
  return summarise(device.stop_recording());
}

}  // namespace

StepTiming time_steps(const StepBenchmark& benchmark, Communicator& world) {
  SyntheticTraining training(resolve_job(job_tree(benchmark.job)), world);
  TrainSetup& setup = training.setup();
  if (benchmark.profiled > 0) {  // a device that keeps no record refuses before anything is timed
    setup.device().start_recording();
    setup.device().stop_recording();
  }
  std::vector<double> seconds;
  for (int index = 0; index < benchmark.warmup + benchmark.repeats; ++index) {
    const double elapsed = training.step();
    if (index >= benchmark.warmup) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  training.run(0);
  const std::string device = setup.device().description();
  const RankDevices devices = measure_rank_devices(setup.device(), world);
  const Profile profile = profile_steps(training, benchmark.profiled);
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
      .profiled_ranks = benchmark.profiled > 0 ? times_of_ranks(profile, world) : std::vector<DeviceTimes>()};
}

}  // namespace caravan::jobs
