#include "jobs/bench/step.hpp"

#include <algorithm>

namespace caravan::jobs {

StepTiming time_steps(const StepBenchmark& benchmark, Communicator& world) {
  SyntheticTraining training(resolve_job(job_tree(benchmark.job)), world);
  TrainSetup& setup = training.setup();
  std::vector<double> seconds;
  for (int index = 0; index < benchmark.warmup + benchmark.repeats; ++index) {
    const double elapsed = training.step();
    if (index >= benchmark.warmup) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  return {setup.device().description(),
          std::string(name_of(setup.compute())),
          seconds[seconds.size() / 2],
          seconds.front(),
          seconds.back(),
          setup.step_flops(),
          setup.share().global_batch * setup.shape().length,
          setup.whole_model().parameters().count(),
          setup.shape().length};
}

}  // namespace caravan::jobs
