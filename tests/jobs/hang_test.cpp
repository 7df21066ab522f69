#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/job_test.hpp"

// Runs in which a rank stands still: the watchdog says which and where, and ends all with 124.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

constexpr double kTimeout = 1;   // seconds of the watchdog
constexpr double kFoundIn = 12;  // seconds until everything is gone, on a busy machine

std::string host() {
  char name[64] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

class Hang : public JobTest {
 protected:
  Command watched(int ranks, const std::string& data, const std::vector<std::string>& overrides = {}) const {
    std::string yaml = kMiniJob;
    const std::string from = "{source: synthetic, vocab_size: 64}";
    if (!data.empty()) yaml.replace(yaml.find(from), from.size(), "{source: failing, " + data + "}");
    std::vector<std::string> all{"train.steps=1000000", "checkpoint.every=1000000",
                                 fmt::format("watchdog.timeout={}", kTimeout)};
    all.insert(all.end(), overrides.begin(), overrides.end());
    Command command = train(job(yaml), "run", ranks, all);
    command.environment["CARAVAN_PLUGIN_PATH"] = CARAVAN_FAILING_PLUGINS;
    return command;
  }
};

TEST_F(Hang, ARankThatIsStoppedIsNamedAndTheJobEndsWith124) {
  for (int rank : {0, 1}) {
    Program program(watched(2, ""), folder_.path());
    ASSERT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();
    ASSERT_TRUE(program.signal_rank(rank, SIGSTOP));
    const auto start = std::chrono::steady_clock::now();

    const Outcome outcome = program.wait();

    EXPECT_TRUE(ended_with(outcome, 124));  // Open MPI may add a line: the stopped rank is woken to be ended
    EXPECT_TRUE(program.all_gone_within(kFoundIn));
    EXPECT_LT(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), kFoundIn);
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format(
                                 "[rank {}] nothing happened for 1 s (watchdog.timeout): rank {} on {} said "
                                 "nothing (stopped, cut off or dead); rank {} on {} is in step ",
                                 1 - rank, rank, host(), 1 - rank, host())));
    EXPECT_THAT(slurp(file("run/failed-nodes.txt")), HasSubstr(host() + " a rank was silent in a hang\n"));
    std::filesystem::remove(file("run/failed-nodes.txt"));
  }
}

TEST_F(Hang, ARankThatWaitsForItsDataIsNamedFirst) {
  const Outcome outcome = run(watched(2, "when: read, how: hang, rank: 1, sample: 14"));

  EXPECT_TRUE(ended_with(outcome, 124));
  EXPECT_THAT(
      outcome.last_line(),
      HasSubstr(fmt::format("nothing happened for 1 s (watchdog.timeout): rank 1 on {} is in step 4 at: "
                            "reading data, for ",
                            host())));
  EXPECT_THAT(outcome.last_line(),
              HasSubstr(fmt::format("rank 0 on {} is in step 4 at: all-reduce of the token count", host())));
  EXPECT_FALSE(std::filesystem::exists(file("run/failed-nodes.txt"))) << "no node is to blame";
}

TEST_F(Hang, ARankThatHangsWhileTheRunIsSetUpIsNamedToo) {
  const Outcome outcome = run(watched(2, "when: create, how: hang, rank: 1"));

  EXPECT_TRUE(ended_with(outcome, 124));
  EXPECT_THAT(outcome.last_line(),
              HasSubstr(fmt::format("rank 1 on {} is before its first step at: setting up, for ", host())));
}

TEST_F(Hang, ACheckpointIsPutInPlaceWhileAStepStandsStill) {
  for (const char* files : {"shards", "one"}) {
    std::filesystem::remove_all(file("run"));
    Program program(
        watched(2, "when: read, how: hang, rank: 1, sample: 10",  // of step 3
                {"watchdog.timeout=0", "checkpoint.every=2", fmt::format("checkpoint.files={}", files)}),
        folder_.path());
    ASSERT_TRUE(program.wait_for("\nstep 2/", 60)) << program.err_so_far();
    for (int look = 0; look < 2000 && io::list_steps(file("run")).empty(); ++look)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    program.kill_all(SIGKILL);
    program.wait();

    EXPECT_EQ(io::find_latest(file("run")).step, 2) << files;
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(file("run/checkpoints/step-00000002")), {}),
              std::string(files) == "one" ? 2 : 4)
        << "no note of the writers is left";
  }
}

TEST_F(Hang, OneRankWithoutALauncherEndsWith124Too) {
  const Outcome outcome = run(watched(0, "when: read, how: hang, sample: 14"));

  EXPECT_TRUE(ended_with(outcome, 124));
  EXPECT_THAT(outcome.last_line(), HasSubstr("reading data"));
}

TEST_F(Hang, WithoutATimeoutNothingEndsAndTheSecondInterruptDoes) {
  Program program(watched(0, "when: read, how: hang, sample: 14", {"watchdog.timeout=0"}), folder_.path());
  ASSERT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();
  std::this_thread::sleep_for(std::chrono::duration<double>(2 * kTimeout));
  ASSERT_TRUE(program.is_running());

  ::kill(program.launcher(), SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_TRUE(program.is_running()) << "the first waits for the step";
  ::kill(program.launcher(), SIGINT);

  EXPECT_EQ(program.wait().signal, SIGINT);
}

TEST_F(Hang, TheHeartbeatIsAlwaysWholeAndStopsWithTheRun) {
  Program program(watched(2, ""), folder_.path());
  ASSERT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();
  std::vector<std::int64_t> steps;
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(3200)) {
    if (!std::filesystem::exists(file("run/heartbeat.json"))) continue;
    const auto heartbeat = nlohmann::json::parse(slurp(file("run/heartbeat.json")));
    ASSERT_TRUE(heartbeat.at("time").is_string() && heartbeat.at("action").is_string());
    const auto step = heartbeat.at("step").get<std::int64_t>();
    if (steps.empty() || steps.back() != step) steps.push_back(step);
  }
  EXPECT_GE(steps.size(), 2u);
  EXPECT_LE(steps.size(), 5u) << "at most once a second";
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
}

}  // namespace
}  // namespace caravan::test
