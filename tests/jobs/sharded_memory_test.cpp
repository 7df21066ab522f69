#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"

// What ranks that divide their parameters hold: as much as a dry run says, and half of what one rank would.
namespace caravan::test {
namespace {

// 70 million parameters in blocks that are small beside all of them.
constexpr const char* kJob = R"(device: host
model: {vocab_size: 2048, dim: 512, layers: 18, heads: 8, width_multiple_of: 64, experts: 2, moe_step: 2}
data: {source: synthetic, vocab_size: 2048}
train: {steps: 3, sequence_length: 64}
checkpoint: {enabled: false}
metrics: {tensorboard: false}
)";

constexpr const char* k64Experts = R"(device: host
model: {preset: debugmodel, experts: 64, expert_width: 512}
data: {source: synthetic, vocab_size: 2048}
train: {steps: 3, sequence_length: 64}
checkpoint: {enabled: false}
metrics: {tensorboard: false}
)";

class ShardedMemory : public JobTest {
 protected:
  Outcome dry_run(const std::string& yaml, int ranks, const std::vector<std::string>& overrides) {
    Command command = train(job(yaml), "dry", 0, overrides);
    command.arguments.insert(command.arguments.end(), {"--dry-run", "--ranks", std::to_string(ranks)});
    return run(command);
  }
  Outcome dry_run(const std::string& yaml, int ranks, int shards) {
    return dry_run(yaml, ranks, {"parallel.data_shard=" + std::to_string(shards)});
  }
  /// Of ranks that keep everything.
  Outcome dry_run_of_wholes(const std::string& yaml, int ranks) {
    return dry_run(yaml, ranks, {"parallel.divide_optimizer=false"});
  }
  /// The most that each rank of a run has held.
  std::vector<double> measured(int ranks, const std::vector<std::string>& overrides) {
    Program program(train(file("job.yaml"), "run", ranks, overrides), folder_.path());
    std::vector<double> most(static_cast<std::size_t>(ranks));
    while (program.is_running()) {
      for (int rank = 0; rank < ranks; ++rank) {
        double& peak = most[static_cast<std::size_t>(rank)];
        if (const pid_t process = program.process_of_rank(rank)) peak = std::max(peak, peak_bytes(process));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_TRUE(ended_with(program.wait(), 0));
    return most;
  }
  /// Of rank 0.
  void expect_as_announced(int ranks, const std::vector<std::string>& overrides) {
    if (kIsInstrumented) GTEST_SKIP() << "a sanitizer takes memory of its own";
    const Outcome plan = dry_run(kJob, ranks, overrides);
    ASSERT_TRUE(ended_with(plan, 0));
    const double announced = planned_bytes(plan.out, "peak a rank");
    const std::vector<double> peaks = measured(ranks, overrides);
    for (const double peak : peaks)
      std::cout << "announced " << announced / 1e6 << " MB for rank 0, measured " << peak / 1e6 << " MB, "
                << (announced / peak - 1) * 100 << " %\n";
    EXPECT_NEAR(announced / peaks.front(), 1.0, 0.05);
  }
};

TEST_F(ShardedMemory, OfARankIsWhatTheDryRunAnnounces) {
  expect_as_announced(2, {"parallel.data_shard=2"});
}

TEST_F(ShardedMemory, OfARankOfAPipelineIsToo) {
  expect_as_announced(4, {"parallel.data_shard=2", "parallel.pipeline=2", "parallel.microbatches=2"});
}

TEST_F(ShardedMemory, OfAReplicaIsToo) {
  expect_as_announced(2, {"parallel.divide_optimizer=false"});
}

TEST_F(ShardedMemory, OfAReplicaThatDividesTheOptimizerIsToo) {
  expect_as_announced(2, {});
}

/// Its gradients are whole until the last micro-batch.
TEST_F(ShardedMemory, OfAReplicaThatDividesTheOptimizerAfterSeveralMicrobatchesIsToo) {
  expect_as_announced(2, {"train.global_batch_size=6"});
}

TEST_F(ShardedMemory, OfATensorRankIsToo) {
  expect_as_announced(2, {"parallel.tensor=2", "parallel.expert=2"});
}

TEST_F(ShardedMemory, OfARankWithHalfOfTheExpertsIsToo) {
  expect_as_announced(2, {"parallel.data_shard=2", "parallel.expert=2"});
}

/// By how much experts that are twice as wide enlarge a rank, measured and announced; what MPI takes beside,
/// some 20 MB on eight ranks, cancels out.
TEST_F(ShardedMemory, OfAnEighthOfTheExpertsGrowsAsAnnounced) {
  if (kIsInstrumented) GTEST_SKIP() << "a sanitizer takes memory of its own";
  const auto peaks = [&](const std::string& width) {
    const std::vector<std::string> keys{"parallel.data_shard=8", "parallel.expert=8",
                                        "model.expert_width=" + width, "output=" + file(width)};
    const double announced = planned_bytes(dry_run(k64Experts, 8, keys).out, "peak a rank");
    return std::pair(announced, measured(8, keys).front());
  };
  const auto narrow = peaks("512"), wide = peaks("1024");
  const double announced = wide.first - narrow.first, grown = wide.second - narrow.second;
  std::cout << "announced " << announced / 1e6 << " MB more, measured " << grown / 1e6 << " MB\n";
  EXPECT_NEAR(grown / announced, 1.0, 0.05);
}

TEST_F(ShardedMemory, OfExpertsIsAnEighthOnEightRanks) {
  const Outcome whole = dry_run_of_wholes(k64Experts, 8),
                divided = dry_run(k64Experts, 8, {"parallel.data_shard=8", "parallel.expert=8"});
  ASSERT_TRUE(ended_with(whole, 0));
  ASSERT_TRUE(ended_with(divided, 0));
  for (const char* item : {"weights", "gradients", "optimizer"})
    EXPECT_NEAR(planned_bytes(divided.out, item) / planned_bytes(whole.out, item), 0.125, 0.001) << item;
  EXPECT_LT(planned_bytes(divided.out, "gathered weights"), 0.2 * planned_bytes(whole.out, "weights"));
}

TEST_F(ShardedMemory, OfTheStateIsHalvedByTwoShardsAndByTwoReplicas) {
  const Outcome whole = dry_run_of_wholes(kJob, 2);
  ASSERT_TRUE(ended_with(whole, 0));
  for (const int shards : {2, 1}) {
    const Outcome halved = dry_run(kJob, 2, shards);
    ASSERT_TRUE(ended_with(halved, 0));
    for (const char* item : {"weights", "gradients", "optimizer"})
      EXPECT_NEAR(planned_bytes(halved.out, item) / planned_bytes(whole.out, item), 0.5, 0.005) << item;
  }
}

TEST_F(ShardedMemory, OfA107BillionParametersOn256RanksIsPlannedInSeconds) {
  const Outcome plan = dry_run(R"(device: host
model: {preset: 17bx16e}
data: {source: synthetic, vocab_size: 202048}
train: {steps: 10, sequence_length: 8192}
checkpoint: {enabled: false}
)",
                               256, 256);
  ASSERT_TRUE(ended_with(plan, 0));
  std::cout << "planned in " << plan.seconds << " s\n";
  EXPECT_LT(plan.seconds, kIsInstrumented ? 50 : 5);
  EXPECT_NEAR(planned_bytes(plan.out, "weights"), 4 * 107'769'861'120.0 / 256,
              0.01 * 4 * 107'769'861'120 / 256);
}

}  // namespace
}  // namespace caravan::test
