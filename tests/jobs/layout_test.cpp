#include <string>

#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/equal_steps.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"

// From one seed every layout gives the losses and norms of one rank: the main proof of the parallel
// semantics.
namespace caravan::test {
namespace {

struct Layout {
  int ranks, sequences;  ///< sequences of a micro-batch; a step has 8 in all, a validation 12
};

class Layouts : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  std::vector<nlohmann::json> steps_of(const Layout& layout, const std::string& device = "host") {
    const std::string name =
        device + "-" + std::to_string(layout.ranks) + "-" + std::to_string(layout.sequences);
    const Outcome outcome = run(train(job_, name, layout.ranks,
                                      {"train.local_batch_size=" + std::to_string(layout.sequences),
                                       "validation.batches=" + std::to_string(12 / layout.sequences),
                                       "device=" + device, "checkpoint.enabled=false"}));
    EXPECT_TRUE(ended_with(outcome, 0));
    return outcome.code == 0 ? read_metrics(file(name)) : std::vector<nlohmann::json>{};
  }
  std::string job_;
};

TEST_F(Layouts, EveryDivisionOfAStepGivesTheLossesNormsAndExpertsOfOneRank) {
  const auto alone = steps_of({1, 4});
  ASSERT_EQ(alone.size(), 10u);
  EXPECT_GT(largest_relative_difference(series(alone, "loss"), std::vector<double>(10, alone[0]["loss"])),
            1e-3)
      << "nothing is learned";
  for (const Layout& layout :
       {Layout{1, 1}, Layout{1, 2}, Layout{2, 4}, Layout{2, 2}, Layout{2, 1}, Layout{4, 2}}) {
    SCOPED_TRACE(std::to_string(layout.ranks) + " ranks with " + std::to_string(layout.sequences) +
                 " sequences");
    expect_equal_steps(steps_of(layout), alone);
  }
}

TEST_F(Layouts, TheReferenceDeviceTakesTheSameSteps) {
  const auto host = steps_of({1, 4}), reference = steps_of({2, 2}, "reference");
  for (const char* key : {"loss", "grad_norm"}) {
    EXPECT_LE(largest_relative_difference(series(reference, key), series(host, key)), kLayoutTolerance)
        << key;
  }
}

/// Large enough that every operator is shared.
TEST_F(Layouts, ThreadsOfARankChangeNoBit) {
  const std::string wide = job(R"(device: host
seed: 5
model: {vocab_size: 512, dim: 128, layers: 2, heads: 8, kv_heads: 4, width_multiple_of: 32, experts: 4, top_k: 2, noisy: true,
        balance_loss: 0.01, load_balance_rate: 0.01, dropout: 0.1, attention_dropout: 0.1}
data: {source: synthetic, vocab_size: 512}
train: {steps: 3, sequence_length: 128, local_batch_size: 4, global_batch_size: 4, lr: 3e-3, log_every: 1}
checkpoint: {every: 3}
)",
                               "wide.yaml");
  for (const char* threads : {"1", "3"})
    ASSERT_TRUE(
        ended_with(run(train(wide, threads, 1, {"device_options.threads=" + std::string(threads)})), 0));
  EXPECT_EQ(series(read_metrics(file("3")), "loss"), series(read_metrics(file("1")), "loss"));
  EXPECT_EQ(digests_of(file("3"), 3), digests_of(file("1"), 3));
}

TEST_F(Layouts, AnotherSeedGivesOtherSteps) {
  const auto alone = steps_of({1, 4});
  ASSERT_TRUE(ended_with(run(train(job_, "other", 1, {"seed=12", "train.local_batch_size=4"})), 0));
  EXPECT_GT(largest_relative_difference(series(read_metrics(file("other")), "loss"), series(alone, "loss")),
            1e-3);
}

}  // namespace
}  // namespace caravan::test
