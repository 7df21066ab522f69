#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// `caravan bench decode`, as its users run it.
namespace caravan::test {
namespace {

class BenchDecode : public JobTest {
 protected:
  Outcome bench(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"bench", "decode", "--device", "host", "--steps", "2", "--context",
                                         "24", "layers=2", "dim=64", "heads=4", "vocab_size=128",
                                         "moe_step=1", "experts=4", "expert_width=32", "dense_width=32"});
    return run({arguments, 0, {}, 60});
  }
};

/// Two layers whose weights and cache can be counted by hand.
TEST_F(BenchDecode, CountsWhatAStepMustRead) {
  const Outcome outcome = bench({"--json", "--batches", "1", "3"});

  ASSERT_TRUE(ended_with(outcome, 0));
  const auto report = nlohmann::json::parse(outcome.out);
  const auto& batches = report.at("batches");
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[1].at("batch"), 3);
  // Two more rows of the embedding, keys and values of two more sequences of 24 + 1 positions, experts that
  // three tokens choose and one does not: all of f32.
  const double more = batches[1].at("step_bytes").get<double>() - batches[0].at("step_bytes").get<double>();
  const double experts = 2 * 3.0 * 4 * 64 * 32 * ((1 - 0.75 * 0.75 * 0.75) - 0.25);
  EXPECT_NEAR(more, 4 * (2 * 64 + 2 * 25 * 2 * 2 * 64 + experts), 1);
  for (const auto& batch : batches) {
    EXPECT_NEAR(batch.at("tokens_per_s").get<double>() * batch.at("step_s").get<double>(), batch.at("batch"),
                1e-6);
    EXPECT_GT(batch.at("share_of_limit").get<double>(), 0);
    EXPECT_GT(batch.at("time_to_first_token_s").get<double>(), 0);
  }
}

TEST_F(BenchDecode, SaysThatItsLimitIsOfEvenRouting) {
  const Outcome outcome = bench({"--batches", "2"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, ::testing::HasSubstr("of even routing's limit"));
}

TEST_F(BenchDecode, HoldsPromptsAgainstAForwardPassOnRequest) {
  const Outcome outcome = bench({"--json", "--batches", "2", "--forward"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_GT(nlohmann::json::parse(outcome.out).at("batches")[0].at("prefill_of_forward").get<double>(), 0);
  const Outcome without = bench({"--json", "--batches", "2"});
  ASSERT_TRUE(ended_with(without, 0));
  EXPECT_FALSE(nlohmann::json::parse(without.out).at("batches")[0].contains("prefill_of_forward"));
}

TEST_F(BenchDecode, NumbersThatAreNoneAreRefused) {
  EXPECT_TRUE(ended_with(bench({"--batches", "0"}), 2));
  EXPECT_TRUE(ended_with(bench({"--context", "0"}), 2));
}

}  // namespace
}  // namespace caravan::test
