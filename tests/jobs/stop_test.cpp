#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/job_test.hpp"

// Runs that are asked to leave: saved at a step boundary, exit code 75, and the next start goes on.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;

class Stop : public JobTest {
 protected:
  /// Long enough to be interrupted; saves only when it is.
  Command endless(const std::string& run, int ranks, const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all{"train.steps=1000000", "train.schedule_steps=1000",
                                 "checkpoint.every=1000000"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return train(job(kMiniJob), run, ranks, all);
  }
  /// Trains until `signal` comes to one rank after some steps.
  Outcome interrupted(const Command& command, int rank, int signal) const {
    Program program(command, folder_.path());
    EXPECT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();
    const pid_t target = command.ranks > 0 ? program.process_of_rank(rank) : program.launcher();
    EXPECT_EQ(::kill(target, signal), 0);
    Outcome outcome = program.wait();
    EXPECT_TRUE(program.all_gone_within(15));
    return outcome;
  }
};

TEST_F(Stop, ASignalToAnyRankSavesAndLeavesWith75) {
  struct Case {
    int signal, ranks, rank;
  };
  for (const Case& each :
       {Case{SIGUSR1, 2, 1}, Case{SIGTERM, 2, 0}, Case{SIGTERM, 0, 0}, Case{SIGINT, 0, 0}}) {
    SCOPED_TRACE(fmt::format("signal {} to rank {} of {}", each.signal, each.rank, each.ranks));
    const std::string name = fmt::format("run-{}-{}", each.signal, each.ranks);

    const Outcome outcome = interrupted(endless(name, each.ranks), each.rank, each.signal);

    ASSERT_TRUE(ended_with(outcome, 75));
    const auto saved = io::find_latest(file(name)).step;
    EXPECT_THAT(outcome.last_line(),
                HasSubstr(fmt::format("signal {} asked to stop: leaving after step {} of "
                                      "1000000, saved",
                                      each.signal, saved)));
    EXPECT_EQ(static_cast<std::int64_t>(read_metrics(file(name)).size()), saved)
        << "steps after the save are lost";
    EXPECT_EQ(outcome.errors(), 0) << outcome.err;
  }
}

TEST_F(Stop, TheNextStartContinuesWithTheVeryLosses) {
  const Outcome outcome = interrupted(endless("stopped", 2), 1, SIGUSR1);
  ASSERT_TRUE(ended_with(outcome, 75));
  const std::int64_t saved = io::find_latest(file("stopped")).step;
  const std::string last = "train.steps=" + std::to_string(saved + 5);

  const Outcome resumed = run(endless("stopped", 2, {last}));
  const Outcome undisturbed = run(endless("undisturbed", 2, {last}));

  ASSERT_TRUE(ended_with(resumed, 0));
  ASSERT_TRUE(ended_with(undisturbed, 0));
  EXPECT_THAT(resumed.err, HasSubstr(fmt::format("resumed at step {} from ", saved)));
  for (const char* key : {"step", "loss", "grad_norm"})
    EXPECT_EQ(series(read_metrics(file("stopped")), key), series(read_metrics(file("undisturbed")), key))
        << key;
}

TEST_F(Stop, ARunThatMayNotSaveSaysThatStartingAgainIsNoHelp) {
  const Outcome outcome = interrupted(endless("run", 2, {"checkpoint.enabled=false"}), 0, SIGUSR1);

  EXPECT_TRUE(ended_with(outcome, 93));
  EXPECT_THAT(outcome.last_line(), HasSubstr("not saved (checkpoint.enabled is false)"));
}

TEST_F(Stop, ASaveThatFailsOnLeavingIsAnError) {
  std::filesystem::create_directories(file("run"));
  Program program(endless("run", 2), folder_.path());
  ASSERT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();
  std::filesystem::remove_all(file("run/checkpoints"));
  spill(file("run/checkpoints"), "a file in the way");
  ASSERT_EQ(::kill(program.process_of_rank(1), SIGUSR1), 0);

  const Outcome outcome = program.wait();

  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.last_line(), HasSubstr("failed: "));
}

}  // namespace
}  // namespace caravan::test
