#include "jobs/watch/watchdog.hpp"

#include <gmock/gmock.h>

#include <future>

#include "tests/io/temporary_folder.hpp"

namespace caravan::jobs {
namespace {

using namespace std::chrono_literals;
using test::TemporaryFolder;

class WatchdogTest : public ::testing::Test {
 protected:
  Watchdog::Settings settings(int rank, Watchdog::Seconds timeout) {
    return {rank,
            timeout,
            HangReport(folder_.file("hang"), {"n1", "n2", "n2"}),
            {},
            [this](const Watchdog::Found& found) { found_.set_value(found); }};
  }
  TemporaryFolder folder_;
  Whereabouts here_;
  std::promise<Watchdog::Found> found_;
};

TEST_F(WatchdogTest, EndsWhatStandsStillAndNamesTheSilent) {
  here_.start_step(7);
  here_.enter(Action{2, ActionKind::backward_input, 5});

  const Watchdog watchdog(here_, settings(0, 200ms));
  auto future = found_.get_future();

  ASSERT_EQ(future.wait_for(10s), std::future_status::ready);
  const Watchdog::Found found = future.get();
  EXPECT_THAT(found.text,
              ::testing::StartsWith("rank 1 on n2, rank 2 on n2 said nothing (stopped, cut off or "
                                    "dead); rank 0 on n1 is in step 7 at: action 2I5, for 0."));
  EXPECT_THAT(found.silent_hosts, ::testing::ElementsAre("n2"));
}

TEST_F(WatchdogTest, LeavesAloneWhatTicks) {
  const Watchdog watchdog(here_, settings(0, 500ms));
  auto future = found_.get_future();

  for (int tick = 0; tick < 30; ++tick) {
    here_.tick();
    ASSERT_EQ(future.wait_for(50ms), std::future_status::timeout);
  }
}

TEST_F(WatchdogTest, ARankThatStillTicksReportsWhenAnotherHas) {
  const HangReport report(folder_.file("hang"), {"n1", "n2", "n2"});
  report.write({1, 3.5, {1, 4, "reading data"}});

  const Watchdog watchdog(here_, settings(0, 8s));
  auto future = found_.get_future();

  ASSERT_EQ(future.wait_for(20s), std::future_status::ready);
  EXPECT_THAT(
      future.get().text,
      ::testing::AllOf(::testing::StartsWith("rank 2 on n2 said nothing (stopped, cut off or dead); rank 0"),
                       ::testing::HasSubstr("rank 1 on n2 is in step 4 at: reading data, for 3.5 s")));
}

TEST(HangReportTest, WhoIsWaitedForComesFirst) {
  const HangReport report("nowhere", {"n", "n", "n"});

  const std::string text = report.describe({{0, 9.0, {1, 4, "all-reduce of the loss"}},
                                            {1, 1.0, {1, 4, "reading data"}},
                                            {2, 0.5, {1, 3, "all-reduce of the loss"}}});

  EXPECT_THAT(text, ::testing::ContainsRegex("^rank 2 .*rank 1 .*rank 0 "));
}

TEST(HangReportTest, DamagedFilesAreLeftOutAndLongListsAreCut) {
  const TemporaryFolder folder;
  const HangReport report(folder.file("hang"), std::vector<std::string>(20, "n"));
  EXPECT_FALSE(report.exists());
  report.write({3, 1, {1, 4, "reading data"}});
  test::spill(folder.file("hang/rank-00004.json"), "{\"step\": ");
  test::spill(folder.file("hang/rank-00005.json"), "[]");

  const auto ranks = report.read();

  EXPECT_TRUE(report.exists());
  ASSERT_EQ(ranks.size(), 1u);
  EXPECT_EQ(ranks[0].rank, 3);
  EXPECT_THAT(report.describe(ranks), ::testing::HasSubstr("rank 8 on n, and 11 more said nothing"));
}

TEST(HeartbeatTest, ADiskThatRefusesIsNoError) {
  Whereabouts here;
  here.tick();
  Heartbeat heartbeat("/nowhere/heartbeat.json");

  EXPECT_NO_THROW(heartbeat.beat(here.look()));
}

}  // namespace
}  // namespace caravan::jobs
