#include "jobs/bench/checkpoint_stall.hpp"

#include <filesystem>
#include <memory>

#include "jobs/bench/median.hpp"
#include "jobs/state/checkpoint_saver.hpp"

namespace caravan::jobs {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Job job_in(const StallBenchmark& benchmark, const std::string& output) {
  Config tree = job_tree(benchmark.job);
  tree.set("output", output);
  tree.override_with("checkpoint.keep_latest=1");
  return resolve_job(std::move(tree));
}

/// One run of `every` steps without a checkpoint and one with, a round.
class Rounds {
 public:
  Rounds(const StallBenchmark& benchmark, const std::string& output, Communicator& world)
      : every_(benchmark.every),
        training_(job_in(benchmark, output), world),
        saver_(training_.setup().state(), world, nullptr,
               checkpoints_of(training_.setup().job(), training_.setup().layout())) {
    train();  // takes memory and warms up
  }

  void run(std::int64_t round) {
    auto start = Clock::now();
    train();
    plain_.push_back(seconds_since(start));
    start = Clock::now();
    saver_.begin({round + 1, 0, 0}, CheckpointSaver::OnFailure::stop);
    copies_.push_back(seconds_since(start));
    train();
    saved_.push_back(seconds_since(start));
    saver_.finish();
  }

  StallTiming timing() const { return {median(plain_), median(saved_), median(copies_)}; }

 private:
  void train() {
    for (int step = 0; step < every_; ++step) {
      training_.step();
      saver_.poll();
    }
  }

  int every_;
  SyntheticTraining training_;
  CheckpointSaver saver_;
  std::vector<double> plain_, saved_, copies_;
};

}  // namespace

StallTiming time_stall(const StallBenchmark& benchmark, Communicator& world) {
  const std::string output = (std::filesystem::path(benchmark.folder) / "caravan-bench-stall").string();
  StallTiming timing;
  {
    Rounds rounds(benchmark, output, world);
    for (int round = 0; round < benchmark.rounds; ++round) rounds.run(round);
    timing = rounds.timing();
  }
  world.barrier();
  if (world.rank() == 0) std::filesystem::remove_all(output);
  return timing;
}

}  // namespace caravan::jobs
