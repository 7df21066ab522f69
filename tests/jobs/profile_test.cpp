#include "jobs/bench/profile.hpp"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "jobs/bench/trace.hpp"

namespace caravan::jobs {
namespace {

using ::testing::HasSubstr;

TEST(Profile, names_kernels_without_namespaces_return_type_and_arguments) {
  EXPECT_EQ(
      short_name("void caravan::cuda::(anonymous namespace)::rows_kernel<8, caravan::cuda::Rows<float> >"
                 "(caravan::cuda::Rows<float>, long (*)(int))"),
      "rows_kernel<8, Rows<float> >");
  EXPECT_EQ(short_name("nvjet_sm90_tst_256x128_64x4"), "nvjet_sm90_tst_256x128_64x4");
  EXPECT_EQ(short_name(""), "");
}

TEST(Profile, is_empty_where_nothing_ran) {
  const Profile profile = summarise({});
  EXPECT_TRUE(profile.kernels.empty());
  EXPECT_EQ(profile.fraction(profile.idle_s), 0);
}

TEST(Profile, adds_up_calls_of_one_name_longest_first) {
  const Profile profile = summarise({{"a", 0, 10}, {"b", 10, 50}, {"a", 50, 65}});
  ASSERT_EQ(profile.kernels.size(), 2u);
  EXPECT_EQ(profile.kernels[0].name, "b");
  EXPECT_EQ(profile.kernels[1].calls, 2);
  EXPECT_DOUBLE_EQ(profile.kernels[1].seconds, 25e-9);
  EXPECT_DOUBLE_EQ(profile.span_s, 65e-9);
  EXPECT_EQ(profile.idle_s, 0);
}

TEST(Profile, is_idle_only_where_nothing_at_all_runs) {
  // 0–40 with an overlap and one inside another, a gap of 10, then 50–100.
  const Profile profile = summarise({{"a", 0, 30}, {"b", 20, 40}, {"c", 22, 25}, {"d", 50, 100}});
  EXPECT_DOUBLE_EQ(profile.idle_s, 10e-9);
  EXPECT_DOUBLE_EQ(profile.fraction(profile.idle_s), 0.1);
  EXPECT_THAT(as_text(profile, 1), HasSubstr(" 10.0%  idle, at most 0 us at a time"));
}

TEST(Profile, names_the_longest_gap) {
  const Profile profile =
      summarise({{"a", 0, 1000}, {"b", 4000, 9000}, {"c", 30000, 31000}, {"d", 32000, 33000}});
  EXPECT_DOUBLE_EQ(profile.longest_gap_s, 21e-6);
  EXPECT_THAT(as_text(profile, 1), HasSubstr("idle, at most 21 us at a time (from b to c)"));
}

TEST(Profile, says_how_long_exchanges_ran_alone) {
  // Of an exchange of 60 the first 10 and the 20 after both products; another is hidden.
  const Profile profile = summarise(
      {{"send", 0, 60, true}, {"a", 10, 30}, {"b", 25, 40}, {"c", 60, 100}, {"send", 70, 80, true}});
  EXPECT_DOUBLE_EQ(profile.exchanges_s, 30e-9);
  EXPECT_EQ(profile.idle_s, 0);
  EXPECT_THAT(as_text(profile, 1), HasSubstr(" 30.0%  exchanges that nothing hides"));
}

TEST(Profile, says_nothing_of_exchanges_where_all_are_hidden) {
  const Profile profile = summarise({{"a", 0, 100}, {"send", 20, 80, true}});
  EXPECT_EQ(profile.exchanges_s, 0);
  EXPECT_THAT(as_text(profile, 1), ::testing::Not(HasSubstr("exchanges")));
}

TEST(Profile, says_what_each_of_several_ranks_did) {
  const auto alone = make_single_communicator();
  const Profile profile =
      summarise({{"a", 0, 50'000}, {"send", 40'000, 80'000, true}, {"b", 90'000, 100'000}});
  const std::vector<DeviceTimes> one = times_of_ranks(profile, *alone);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(as_text(one, 2), "");
  EXPECT_EQ(as_text({one.front(), {}}, 2),
            "rank 0: 0.030 ms/step of computation, 0.015 of exchanges alone, 0.005 idle\n"
            "rank 1: 0.000 ms/step of computation, 0.000 of exchanges alone, 0.000 idle\n");
}

TEST(Trace, shows_each_activity_and_the_parts_of_exchanges_that_nothing_hides) {
  // The exchange, 20–100, is alone at 20–30, 50–60 and 90–100.
  const auto trace = nlohmann::json::parse(as_trace(
      {{"a", 10, 20}, {"send", 20, 100, true}, {"b", 30, 50}, {"c", 60, 90}, {"d", 70, 80}, {"e", 100, 200}},
      3));
  std::vector<std::pair<double, double>> alone;
  int drawn = 0;
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    EXPECT_EQ(event["pid"], 3);
    if (event["tid"] == 2)
      alone.emplace_back(event["ts"], event["dur"]);
    else
      ++drawn;
  }
  EXPECT_EQ(drawn, 6);
  const std::vector<std::pair<double, double>> expected{{0.010, 0.010}, {0.040, 0.010}, {0.080, 0.010}};
  ASSERT_EQ(alone.size(), expected.size());
  for (std::size_t at = 0; at < alone.size(); ++at) {
    EXPECT_NEAR(alone[at].first, expected[at].first, 1e-9);
    EXPECT_NEAR(alone[at].second, expected[at].second, 1e-9);
  }
}

TEST(Trace, of_nothing_has_no_activities) {
  EXPECT_EQ(nlohmann::json::parse(as_trace({}, 0))["traceEvents"].size(), 3u);
}

}  // namespace
}  // namespace caravan::jobs
