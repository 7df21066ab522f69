#include <gmock/gmock.h>

#include <map>

#include "tests/jobs/job_test.hpp"

// `caravan bench ops`, as its users run it: attention of context ranks.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class BenchOps : public JobTest {
 protected:
  Outcome bench(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(),
                     {"bench", "ops", "--device", "host", "--repeats", "1", "--seconds", "0", "--batch", "3",
                      "--sequence", "96", "--heads", "4", "--kv-heads", "2", "--head-dim", "8"});
    return run({arguments, 0, {}, 60});
  }
  /// By the names of the operators.
  std::map<std::string, nlohmann::json> rows(std::vector<std::string> arguments) const {
    arguments.emplace_back("--json");
    const Outcome outcome = bench(arguments);
    EXPECT_TRUE(ended_with(outcome, 0));
    std::map<std::string, nlohmann::json> rows;
    const auto report = nlohmann::json::parse(outcome.out);
    for (const auto& row : report.at("operators")) rows[row.at("operator")] = row;
    return rows;
  }
};

/// Chunks of 48 end where blocks do, those of 32 do not; the sequence has a whole number of both.
TEST_F(BenchOps, AContextRankIsCreditedWithItsShareOfTheWholeAttention) {
  for (const char* chunk : {"0", "48", "32"}) {
    for (const int ranks : {2, 3}) {
      SCOPED_TRACE(testing::Message() << "chunks of " << chunk << " on " << ranks << " ranks");
      const auto all = rows({"--only", "/context", "--chunk", chunk, "--context", std::to_string(ranks)});
      ASSERT_EQ(all.size(), 4u) << "what ranks do, and what that is compared with";
      for (const std::string name : {"attention_forward", "attention_backward"}) {
        const auto &rank = all.at(name + "/context"), &whole = all.at(name);
        EXPECT_DOUBLE_EQ(rank.at("flops").get<double>() * ranks, whole.at("flops"));
        EXPECT_NEAR(rank.at("time_by_share_of_whole").get<double>(),
                    ranks * rank.at("seconds").get<double>() / whole.at("seconds").get<double>(), 1e-6);
        EXPECT_FALSE(whole.contains("time_by_share_of_whole"));
      }
    }
  }
}

/// Queries 0 to 23 see 24 · 24 / 2 keys, and 72 to 95 of the last chunk (64 to 95) 32 · 32 / 2 − 8 · 8 / 2.
TEST_F(BenchOps, OnlyKeysOfTheChunkOfAQueryAreCounted) {
  const auto all = rows({"--only", "/context", "--chunk", "32", "--context", "2"});
  const double pairs = 3 * (24.0 * 24 / 2 + 32.0 * 32 / 2 - 8.0 * 8 / 2), flops = 4 * pairs * 4 * 8;
  EXPECT_DOUBLE_EQ(all.at("attention_forward/context").at("flops"), flops);
  EXPECT_DOUBLE_EQ(all.at("attention_backward/context").at("flops"), 2 * flops);
  const double queries = 3 * 48 * 4 * 8, keys = 3 * (24 + 32) * 2 * 2 * 8;
  EXPECT_DOUBLE_EQ(all.at("attention_forward/context").at("bytes"), 4 * (2 * queries + keys));
}

TEST_F(BenchOps, OneRankHasNoRowsOfContextRanks) {
  const Outcome one = bench({"--only", "attention_"}),
                two = bench({"--only", "attention_", "--context", "2"});
  ASSERT_TRUE(ended_with(one, 0));
  EXPECT_THAT(one.out, Not(HasSubstr("context")));
  EXPECT_THAT(two.out, HasSubstr("attention_backward/context, of rank 0 of 2, takes "));
  EXPECT_THAT(two.out, HasSubstr(" times 1/2 of the time of the whole\n"));
}

TEST_F(BenchOps, MoreBlocksThanTokensAreRefused) {
  const Outcome outcome = bench({"--context", "49"});
  EXPECT_TRUE(ended_with(outcome, 2));
  EXPECT_THAT(outcome.err, HasSubstr("--sequence 96 with --context 49 (each rank has two blocks, and each "
                                     "block a token). A longer --sequence, or fewer ranks?"));
  const Outcome outside = bench({"--context", "2", "--context-rank", "2"});
  EXPECT_TRUE(ended_with(outside, 2));
  EXPECT_THAT(outside.err, HasSubstr("--context-rank 2 with --context 2 (ranks are counted from 0)"));
}

}  // namespace
}  // namespace caravan::test
