#include "jobs/bench/step.hpp"

#include <algorithm>
#include <chrono>

#include "jobs/setup/machine.hpp"
#include "jobs/train/batches.hpp"
#include "jobs/train/setup.hpp"
#include "parallel/bucketed_reducer.hpp"

namespace caravan::jobs {
namespace {

Job job_of(const StepBenchmark& benchmark, int ranks) {
  Config tree = Config::map();
  tree.set("model", benchmark.model);
  tree.set("device", benchmark.device);
  tree.override_with("data.source=synthetic");
  const Config& positions = resolve_model(benchmark.model).find("positions");
  const std::int64_t wanted = positions.is_null() ? 2048 : positions.as_int();
  const std::int64_t length = benchmark.sequence_length > 0 ? benchmark.sequence_length : wanted;
  tree.override_with("train.steps=1000000");
  tree.override_with("train.sequence_length=" + std::to_string(length));
  tree.override_with("train.local_batch_size=" + std::to_string(benchmark.local_batch));
  tree.override_with("train.global_batch_size=" +
                     std::to_string(benchmark.local_batch * benchmark.microbatches * ranks));
  return resolve_job(std::move(tree));
}

}  // namespace

StepTiming time_steps(const StepBenchmark& benchmark, Communicator& world) {
  TrainSetup setup(job_of(benchmark, world.size()), world);
  setup.model().allocate(ParameterStore::Content::weights_and_gradients, setup.slots().size());
  setup.model().parameters().initialise(setup.job().seed);
  Config vocabulary = Config::map();
  vocabulary.set("vocab_size", std::to_string(setup.whole_model().stage().vocab_size()));
  const auto data = setup.open_data(vocabulary);
  BatchReader reader(*data, setup.share());
  parallel::BucketedReducer reducer(setup.data_ranks());
  StageMemory memory(setup.device(), setup.model(), setup.pipeline().training, setup.shape());
  TrainStep step(setup.step_parts(memory, reducer));
  std::vector<double> seconds;
  for (int index = 0; index < benchmark.warmup + benchmark.repeats; ++index) {
    const auto batches = reader.read(index * setup.share().global_batch);
    world.barrier();
    const auto start = std::chrono::steady_clock::now();
    step.run(batches, {index + 1, 1e-4, 1.0, setup.job().seed, setup.share().global_batch});
    setup.device().synchronize();
    double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    world.all_reduce(TensorView(&elapsed, DType::f64, {1}), ReduceOp::max);
    if (index >= benchmark.warmup) seconds.push_back(elapsed);
  }
  std::sort(seconds.begin(), seconds.end());
  return {setup.device().description(),
          seconds[seconds.size() / 2],
          seconds.front(),
          seconds.back(),
          setup.step_flops(),
          setup.share().global_batch * setup.shape().length,
          setup.whole_model().parameters().count(),
          setup.shape().length};
}

}  // namespace caravan::jobs
