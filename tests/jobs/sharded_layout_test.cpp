#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/equal_steps.hpp"
#include "tests/jobs/random_job.hpp"

// Ranks that keep stretches of parameters take the steps of one rank. Sizes are odd (97 tokens, rows of 42,
// widths of 77 and 35, 3 experts), and labels lie so unevenly that ranks have micro-batches without any.
namespace caravan::test {
namespace {

using Overrides = std::vector<std::string>;

/// 24 sequences a step and 6 in a validation; a micro-batch has `sequences`.
struct Shards {
  int ranks, sequences;
  Overrides overrides;
};

/// Every other row has no label that counts, every fourth has one.
Batches uneven_batches() {
  Batches batches(48, 16, 97);
  for (std::int64_t row = 0; row < batches.rows; ++row) {
    const std::int64_t kept = row % 2 == 0 ? 0 : row % 4 == 1 ? 1 : batches.length;
    for (std::int64_t at = kept; at < batches.length; ++at)
      batches.labels[static_cast<std::size_t>(row * batches.length + at)] = -100;
  }
  return batches;
}

class ShardedLayouts : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    uneven_batches().write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  std::vector<nlohmann::json> steps_of(const Shards& layout) {
    Overrides overrides{"model.vocab_size=97",
                        "model.dim=42",
                        "model.heads=3",
                        "model.kv_heads=1",
                        "model.dense_width=77",
                        "model.expert_width=35",
                        "model.layers=5",
                        "model.moe_step=2",
                        "model.experts=3",
                        "model.head_bias=true",
                        "train.global_batch_size=24",
                        "checkpoint.enabled=false"};
    overrides.push_back(fmt::format("train.local_batch_size={}", layout.sequences));
    overrides.push_back(fmt::format("validation.batches={}", 6 / layout.sequences));
    overrides.insert(overrides.end(), layout.overrides.begin(), layout.overrides.end());
    const std::string name = fmt::format("run-{}", number_++);
    const Outcome outcome = run(train(job_, name, layout.ranks, overrides));
    EXPECT_TRUE(ended_with(outcome, 0));
    return outcome.code == 0 ? read_metrics(file(name)) : std::vector<nlohmann::json>{};
  }
  /// What one rank does with the same model.
  void expect_steps_of_one_rank(const std::vector<Shards>& layouts, const Overrides& model = {}) {
    const auto alone = steps_of({1, 6, model});
    for (Shards layout : layouts) {
      SCOPED_TRACE(fmt::format("{} ranks with {} sequences, {}", layout.ranks, layout.sequences,
                               fmt::join(layout.overrides, " ")));
      layout.overrides.insert(layout.overrides.end(), model.begin(), model.end());
      expect_equal_steps(steps_of(layout), alone);
    }
  }

 private:
  std::string job_;
  int number_ = 0;
};

TEST_F(ShardedLayouts, EveryNumberOfShardsGivesTheLossesNormsAndExpertsOfOneRank) {
  expect_steps_of_one_rank({{2, 6, {"parallel.data_shard=2"}},
                            {3, 2, {"parallel.data_shard=3", "parallel.prefetch=0"}},
                            {4, 3, {"parallel.data_shard=-1", "parallel.reshard=never"}},
                            {8, 1, {"parallel.data_shard=8", "parallel.prefetch=3"}}});
}

TEST_F(ShardedLayouts, ReplicasOfShardsGiveThemToo) {
  expect_steps_of_one_rank(
      {{4, 6, {"parallel.data_replicate=2", "parallel.data_shard=2", "parallel.reshard=always"}},
       {6, 1, {"parallel.data_replicate=2", "parallel.data_shard=3", "train.recompute=full"}}});
}

TEST_F(ShardedLayouts, ReplicasGiveThemWhetherTheyDivideTheOptimizerOrNot) {
  expect_steps_of_one_rank({{2, 6, {}},
                            {2, 3, {"parallel.divide_optimizer=true", "parallel.prefetch=0"}},
                            {4, 6, {"train.recompute=full"}},
                            {2, 6, {"parallel.divide_optimizer=false"}},
                            {6,
                             2,
                             {"parallel.data_replicate=3", "parallel.data_shard=2", "parallel.reshard=never",
                              "parallel.divide_optimizer=true"}}});
}

/// Weights are gathered in bf16 then; where sums differ in their last bit, one may be rounded otherwise.
TEST_F(ShardedLayouts, ReplicasInBf16GiveThemToTheRoundingOfWeights) {
  constexpr double kRounding = 1e-3;
  const auto steps = [&](int ranks, const char* divides) {
    return steps_of({ranks, 6, {"device=reference", "train.precision=bf16", divides}});
  };
  const auto alone = steps(1, "parallel.divide_optimizer=auto");
  for (const char* divides : {"parallel.divide_optimizer=true", "parallel.divide_optimizer=false"}) {
    const auto replicas = steps(2, divides);
    for (const char* key : {"loss", "grad_norm"})
      EXPECT_LE(largest_relative_difference(series(replicas, key), series(alone, key)), kRounding)
          << key << " " << divides;
  }
}

/// Tables of several words for each token: 1999 rows divide nowhere.
TEST_F(ShardedLayouts, ATableThatIsSummedByRowsGivesThemToo) {
  expect_steps_of_one_rank({{2, 6, {}},
                            {2, 6, {"parallel.divide_optimizer=false"}},
                            {3, 1, {"parallel.data_shard=3"}},
                            {8, 1, {"parallel.data_shard=8", "parallel.reshard=never"}},
                            {6, 2, {"parallel.data_replicate=3", "parallel.data_shard=2"}}},
                           {"model.vocab_size=1999"});
}

TEST_F(ShardedLayouts, AHeadThatIsTheEmbeddingsTableIsGatheredOnce) {
  expect_steps_of_one_rank({{3, 1, {"parallel.data_shard=3"}}}, {"model.tied_head=true"});
}

TEST_F(ShardedLayouts, TheReferenceDeviceTakesTheSameSteps) {
  expect_steps_of_one_rank({{2, 3, {"parallel.data_shard=2", "device=reference"}}});
}

}  // namespace
}  // namespace caravan::test
