#include <algorithm>
#include <array>
#include <chrono>
#include <iostream>
#include <thread>

#include "tests/jobs/job_test.hpp"
#include "tests/jobs/memory_table.hpp"

// What ranks that divide their parameters hold: as much as a dry run says, and half of what one rank would.
namespace caravan::test {
namespace {

// 39 million parameters in blocks that are small beside all of them: what only the first rank of a sum holds
// is in the plan of every rank.
constexpr const char* kJob = R"(device: host
model: {vocab_size: 2048, dim: 384, layers: 18, heads: 6, width_multiple_of: 64, experts: 2, moe_step: 2}
data: {source: synthetic, vocab_size: 2048}
train: {steps: 3, sequence_length: 64}
checkpoint: {enabled: false}
metrics: {tensorboard: false}
)";

class ShardedMemory : public JobTest {
 protected:
  Outcome dry_run(const std::string& yaml, int ranks, int shards) {
    Command command = train(job(yaml), "dry", 0, {"parallel.data_shard=" + std::to_string(shards)});
    command.arguments.insert(command.arguments.end(), {"--dry-run", "--ranks", std::to_string(ranks)});
    return run(command);
  }
};

TEST_F(ShardedMemory, OfEachRankIsWhatTheDryRunAnnounces) {
  if (kIsInstrumented) GTEST_SKIP() << "a sanitizer takes memory of its own";
  const Outcome plan = dry_run(kJob, 2, 2);
  ASSERT_TRUE(ended_with(plan, 0));
  const double announced = planned_bytes(plan.out, "peak a rank");

  Program program(train(file("job.yaml"), "run", 2, {"parallel.data_shard=2"}), folder_.path());
  std::array<double, 2> measured{};
  while (program.is_running()) {
    for (int rank = 0; rank < 2; ++rank) {
      double& most = measured[static_cast<std::size_t>(rank)];
      if (const pid_t process = program.process_of_rank(rank)) most = std::max(most, peak_bytes(process));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ASSERT_TRUE(ended_with(program.wait(), 0));

  for (const double peak : measured) {
    std::cout << "announced " << announced / 1e6 << " MB, measured " << peak / 1e6 << " MB, "
              << (announced / peak - 1) * 100 << " %\n";
    EXPECT_NEAR(announced / peak, 1.0, 0.05);
  }
}

TEST_F(ShardedMemory, OfTheStateIsHalvedByTwoShards) {
  const Outcome whole = dry_run(kJob, 2, 1), halved = dry_run(kJob, 2, 2);
  ASSERT_TRUE(ended_with(whole, 0));
  ASSERT_TRUE(ended_with(halved, 0));
  for (const char* item : {"weights", "gradients", "optimizer"})
    EXPECT_NEAR(planned_bytes(halved.out, item) / planned_bytes(whole.out, item), 0.5, 0.005) << item;
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
