#include "jobs/bench/checkpoint_stall.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>

#include "jobs/train/checkpoint_saver.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Job job_in(const StallBenchmark& benchmark, const std::string& output) {
  Config tree = job_tree(benchmark.job);
  tree.set("output", output);
  tree.override_with("checkpoint.keep_latest=1");
  return resolve_job(std::move(tree));
}

}  // namespace

StallTiming time_stall(const StallBenchmark& benchmark, Communicator& world) {
  const std::string output = (std::filesystem::path(benchmark.folder) / "caravan-bench-stall").string();
  std::vector<double> plain, saved, copies;
  {
    SyntheticTraining training(job_in(benchmark, output), world);
    CheckpointSaver saver(training.setup(), world, nullptr,
                          CheckpointSaver::checkpoints_of(training.setup().job()));
    const auto train = [&] {
      for (int step = 0; step < benchmark.every; ++step) {
        training.step();
        saver.poll();
      }
    };
    train();  // takes memory and warms up
    for (int round = 0; round < benchmark.rounds; ++round) {
      auto start = Clock::now();
      train();
      plain.push_back(seconds_since(start));
      start = Clock::now();
      saver.begin({round + 1, 0, 0}, CheckpointSaver::OnFailure::stop);
      copies.push_back(seconds_since(start));
      train();
      saved.push_back(seconds_since(start));
      saver.finish();
    }
  }
  world.barrier();
  if (world.rank() == 0) std::filesystem::remove_all(output);
  return {median(plain), median(saved), median(copies)};
}

}  // namespace caravan::jobs
