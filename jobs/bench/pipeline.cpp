#include "jobs/bench/pipeline.hpp"

#include <algorithm>

#include "core/plan/measured_costs.hpp"
#include "jobs/bench/median.hpp"
#include "jobs/train/timeline_recorder.hpp"

namespace caravan::jobs {
namespace {

Job job_of(const PipelineBenchmark& benchmark, int ranks) {
  Config tree = job_tree(benchmark.job);
  tree.override_with("parallel.pipeline=" + std::to_string(ranks));
  tree.override_with("parallel.schedule=" + benchmark.schedule);
  tree.override_with("parallel.first_stage_less=" + std::to_string(benchmark.split.first_less));
  tree.override_with("parallel.last_stage_less=" + std::to_string(benchmark.split.last_less));
  return resolve_job(std::move(tree));
}

std::size_t most_activations(TrainSetup& setup, Communicator& world) {
  auto bytes = static_cast<std::int64_t>(
      StageMemory::planned(setup.model(), setup.pipeline().training, setup.shape()).total());
  world.all_reduce(TensorView(&bytes, DType::i64, {1}), ReduceOp::max);
  return static_cast<std::size_t>(bytes);
}

struct Measured {
  std::vector<double> steps;
  std::vector<Timeline> timelines;  // on rank 0
};

Measured measure(const PipelineBenchmark& benchmark, SyntheticTraining& training, const Plan& plan) {
  Measured measured;
  training.executor().measure(Executor::Timing::actions);
  for (int index = 0; index < benchmark.warmup + benchmark.repeats; ++index) {
    const double seconds = training.step();
    Timeline timeline = gather_timeline(plan, training.executor(), training.setup().pipeline_ranks().host);
    if (index < benchmark.warmup) continue;
    measured.steps.push_back(seconds);
    measured.timelines.push_back(std::move(timeline));
  }
  return measured;
}

}  // namespace

PipelineTiming time_pipeline(const PipelineBenchmark& benchmark, Communicator& world) {
  SyntheticTraining training(job_of(benchmark, world.size()), world);
  TrainSetup& setup = training.setup();
  const Plan plan = lowered_plan(setup);
  const Measured measured = measure(benchmark, training, plan);
  PipelineTiming timing;
  timing.schedule = benchmark.schedule;
  timing.stages = setup.pipeline().training.placement.stages();
  timing.step_s = median(measured.steps);
  timing.activation_bytes = most_activations(setup, world);
  timing.step_flops = setup.step_flops();
  timing.step_tokens = setup.share().global_batch * setup.shape().sequence_length();
  if (world.rank() != 0) return timing;
  std::vector<double> walks, idle;
  for (const Timeline& timeline : measured.timelines) {
    walks.push_back(timeline.makespan);
    idle.push_back(timeline.bubble());
  }
  const Timeline simulated = simulate(plan, measured_costs(plan, measured.timelines));
  const std::vector<int> peaks = peak_stashes(plan);
  timing.walks_s = median(walks);
  timing.idle = median(idle);
  timing.simulated_s = simulated.makespan;
  timing.simulated_idle = simulated.bubble();
  timing.peak_stashes = *std::max_element(peaks.begin(), peaks.end());
  return timing;
}

}  // namespace caravan::jobs
