#include <gmock/gmock.h>

#include "tests/jobs/job_test.hpp"

// `caravan bench comm`, as its users run it.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class BenchComm : public JobTest {
 protected:
  Outcome bench(int ranks, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"bench", "comm", "--device", "host", "--repeats", "3"});
    return run({arguments, ranks, {}, 60});
  }
};

/// On three ranks a size need not divide: what is timed is said.
TEST_F(BenchComm, TimesEveryOperationAtEverySize) {
  const Outcome outcome = bench(3, {"--json", "--sizes", "1000", "120000"});
  ASSERT_TRUE(ended_with(outcome, 0));
  const auto all = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(all.at("ranks"), 3);
  ASSERT_EQ(all.at("exchanges").size(), 2 * 5u);
  const std::map<std::string, double> leaves{{"all_gather", 2.0 / 3},
                                             {"reduce_scatter", 2.0 / 3},
                                             {"all_reduce", 4.0 / 3},
                                             {"all_to_all", 2.0 / 3},
                                             {"send_receive", 1.0}};
  for (const auto& exchange : all.at("exchanges")) {
    const double bytes = exchange.at("bytes"), rate = exchange.at("bytes_per_s");
    EXPECT_TRUE(bytes == 996 || bytes == 120000) << bytes;
    EXPECT_NEAR(rate, bytes / exchange.at("seconds").get<double>(), 1e-6 * rate);
    EXPECT_NEAR(exchange.at("bus_bytes_per_s").get<double>() / rate, leaves.at(exchange.at("operation")),
                1e-9);
    EXPECT_GT(exchange.at("limit_bytes_per_s"), 0);
  }
}

TEST_F(BenchComm, PrintsATable) {
  const Outcome outcome = bench(2, {"--operations", "all_to_all", "--sizes", "65536"});
  ASSERT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.out, HasSubstr("ranks       2; fp32, medians of 3, of the slowest rank"));
  EXPECT_THAT(outcome.out, HasSubstr("\nall_to_all             65536"));
}

TEST_F(BenchComm, WhatCannotBeMeasuredIsRefused) {
  const std::tuple<int, std::vector<std::string>, const char*> cases[] = {
      {1, {}, "bench comm on one rank (nothing travels)"},
      {2, {"--operations", "gossip"}, "no operation 'gossip'. Known: all_gather, "},
      {2, {"--sizes", "many"}, "--sizes='many' (must be an integer"},
      {2, {"--sizes", "3"}, "--sizes=3 (must be in [4, "}};
  for (const auto& [ranks, arguments, message] : cases) {
    const Outcome outcome = bench(ranks, arguments);
    EXPECT_TRUE(ended_with(outcome, 2)) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

}  // namespace
}  // namespace caravan::test
