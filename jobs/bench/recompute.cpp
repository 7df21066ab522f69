#include "jobs/bench/recompute.hpp"

#include "jobs/bench/median.hpp"

namespace caravan::jobs {
namespace {

ActivationBytes planned_of(TrainSetup& setup) {
  return StageMemory::planned(setup.model(), setup.pipeline().training, setup.shape());
}

RecomputeTiming time_mode(const RecomputeBenchmark& benchmark, const std::string& mode, Communicator& world) {
  SyntheticJob synthetic = benchmark.job;
  synthetic.recompute = recompute_yaml(mode);
  Job job = resolve_job(job_tree(synthetic));
  if (benchmark.repeats == 0) {
    TrainSetup setup(std::move(job), world);
    return {mode, planned_of(setup)};
  }
  SyntheticTraining training(std::move(job), world);
  std::vector<double> seconds;
  for (int step = 0; step < benchmark.warmup + benchmark.repeats; ++step) {
    const double elapsed = training.step();
    if (step >= benchmark.warmup) seconds.push_back(elapsed);
  }
  return {mode, planned_of(training.setup()), median(seconds), training.last().loss};
}

}  // namespace

std::vector<RecomputeTiming> time_recomputation(const RecomputeBenchmark& benchmark, Communicator& world) {
  std::vector<RecomputeTiming> timings;
  for (const std::string& mode : benchmark.modes) timings.push_back(time_mode(benchmark, mode, world));
  return timings;
}

}  // namespace caravan::jobs
