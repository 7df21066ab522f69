#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/run_results.hpp"
#include "tests/support/launcher_codes.hpp"

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
    EXPECT_TRUE(command.ranks > 0 ? program.signal_rank(rank, signal)
                                  : ::kill(program.launcher(), signal) == 0);
    Outcome outcome = program.wait();
    EXPECT_TRUE(program.all_gone_within(15));
    return outcome;
  }
};

TEST_F(Stop, ASignalToAnyRankSavesAndLeavesWith75) {
  struct Case {
    int signal, ranks, rank;
  };
  for (const Case& each : {Case{SIGUSR1, 2, 1}, Case{SIGTERM, 2, 0}, Case{SIGTERM, 0, 0}, Case{SIGINT, 0, 0},
                           Case{SIGHUP, 0, 0}}) {
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
  ASSERT_TRUE(program.signal_rank(1, SIGUSR1));

  const Outcome outcome = program.wait();

  EXPECT_TRUE(ended_with(outcome, 3));
  EXPECT_THAT(outcome.last_line(), HasSubstr("failed: "));
}

/// Holds a run in its validation, which takes as long as nobody asks it to leave.
class StopInValidation : public Stop {
 protected:
  Command validating(int ranks, const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all{"validation.every=2", "validation.batches=1000000000", "watchdog.timeout=3"};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return endless("run", ranks, all);
  }
  /// The same run with validations that end.
  Command to_the_end(const std::string& name, int ranks, int steps,
                     const std::vector<std::string>& overrides = {}) const {
    std::vector<std::string> all{"validation.every=2", "validation.batches=3",
                                 "train.steps=" + std::to_string(steps)};
    all.insert(all.end(), overrides.begin(), overrides.end());
    return endless(name, ranks, all);
  }
  /// A run that was asked to leave the validation of step 2.
  void leave_validation(int ranks, const std::vector<std::string>& overrides = {}) const {
    Program program(validating(ranks, overrides), folder_.path());
    ASSERT_TRUE(wait_for_validation(program)) << program.err_so_far();
    ASSERT_TRUE(program.signal_rank(ranks - 1, SIGUSR1));
    expect_left(program.wait(), SIGUSR1);
  }
  void expect_records_of_undisturbed(int ranks, int steps,
                                     const std::vector<std::string>& overrides = {}) const {
    ASSERT_TRUE(ended_with(run(to_the_end("undisturbed", ranks, steps, overrides)), 0));
    EXPECT_EQ(results_of(file("run")), results_of(file("undisturbed")));
    EXPECT_EQ(digests_of(file("run"), steps), digests_of(file("undisturbed"), steps));
  }
  /// The action that the heartbeat names.
  nlohmann::json heartbeat() const {
    const std::string text = slurp(file("run/heartbeat.json"));
    return text.empty() ? nlohmann::json{{"step", 0}} : nlohmann::json::parse(text);
  }
  bool wait_for_validation(Program& program) const {
    if (!program.wait_for("\nstep 1/", 60)) return false;
    for (int look = 0; look < 3000 && program.is_running(); ++look) {
      if (heartbeat().at("step") == 2) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  /// Stops the start that would have made it up.
  void leave_validation_again(const std::vector<std::string>& overrides) const {
    Program program(validating(2, overrides), folder_.path());
    ASSERT_TRUE(program.wait_for("validating step 2 first", 60)) << program.err_so_far();
    ASSERT_TRUE(program.signal_rank(0, SIGTERM));
    expect_left(program.wait(), SIGTERM);
  }
  void expect_left(const Outcome& outcome, int signal) const {
    ASSERT_TRUE(ended_with(outcome, 75));
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("signal {} asked to stop: the validation of step 2 was "
                                                   "left, without a loss; the next start makes it up",
                                                   signal)));
    EXPECT_EQ(io::find_latest(file("run")).step, 2);
    const auto metrics = read_metrics(file("run"));
    ASSERT_EQ(metrics.size(), 2u);
    EXPECT_FALSE(metrics.back().contains("validation_loss"));
  }
};

TEST_F(StopInValidation, IsNoHangAndIsLeftWithinAMicroBatch) {
  Program program(validating(2), folder_.path());
  ASSERT_TRUE(wait_for_validation(program)) << program.err_so_far();
  const auto first = heartbeat();
  std::this_thread::sleep_for(std::chrono::seconds(4));  // longer than the watchdog waits

  EXPECT_TRUE(program.is_running()) << program.err_so_far();
  EXPECT_NE(heartbeat().at("time"), first.at("time")) << "every micro-batch is progress";
  EXPECT_TRUE(program.signal_rank(1, SIGUSR1));
  expect_left(program.wait(), SIGUSR1);
}

TEST_F(StopInValidation, IsLeftByAPipelineToo) {
  Program program(validating(2, {"parallel.pipeline=2", "parallel.microbatches=4"}), folder_.path());
  ASSERT_TRUE(wait_for_validation(program)) << program.err_so_far();
  EXPECT_TRUE(program.signal_rank(0, SIGTERM));
  expect_left(program.wait(), SIGTERM);
}

TEST_F(StopInValidation, TheNextStartMakesItUpBeforeItsFirstStep) {
  leave_validation(2);

  const Outcome resumed = run(to_the_end("run", 2, 5));

  ASSERT_TRUE(ended_with(resumed, 0));
  EXPECT_THAT(resumed.err, HasSubstr("validating step 2 first, as a signal kept the start before from it"));
  EXPECT_THAT(resumed.err, ::testing::ContainsRegex("\nstep 2/5  loss [0-9.]+  validation loss "));
  expect_records_of_undisturbed(2, 5);
}

TEST_F(StopInValidation, ALastStepIsOverWhenItsValidationIs) {
  const std::vector<std::string> shards{"parallel.data_shard=2", "checkpoint.async=false"};
  std::vector<std::string> last = shards;
  last.emplace_back("train.steps=2");
  leave_validation(2, last);
  leave_validation_again(last);

  ASSERT_TRUE(ended_with(run(to_the_end("run", 2, 2, shards)), 0));
  expect_records_of_undisturbed(2, 2, shards);
  EXPECT_THAT(run(to_the_end("run", 2, 2, shards)).last_line(),
              HasSubstr("nothing to do: step 2 of 2 is done"));
}

TEST_F(StopInValidation, WithoutValidationDataNothingIsMadeUp) {
  leave_validation(2, {"train.steps=2"});
  const Outcome outcome = run(to_the_end("run", 2, 2, {"validation.batches=0"}));
  EXPECT_TRUE(ended_with(outcome, 0));
  EXPECT_THAT(outcome.last_line(), HasSubstr("nothing to do: step 2 of 2 is done"));
}

/// mpirun reads nothing of its ranks meanwhile, and they write more than a pipe holds.
TEST_F(Stop, AnInterruptOfMpirunSavesWhereItWaitsLongEnough) {
  Command command = endless("run", 2);
  command.environment["OMPI_MCA_odls_base_sigkill_timeout"] = "3";
  Program program(command, folder_.path());
  ASSERT_TRUE(program.wait_for("\nstep 3/", 60)) << program.err_so_far();

  ASSERT_EQ(::kill(program.launcher(), SIGINT), 0);
  const Outcome outcome = program.wait();

  EXPECT_EQ(outcome.code, kCodeOfInterrupt);
  EXPECT_EQ(outcome.err.find("warning Ctrl-C kills this run 3 s after mpirun has asked it to leave") !=
                std::string::npos,
            kLauncherIsHasty);
  const auto saved = io::find_latest(file("run")).step;
  EXPECT_GT(saved, 0);
  EXPECT_EQ(static_cast<std::int64_t>(read_metrics(file("run")).size()), saved) << "it left there";
}

TEST_F(Stop, ALauncherThatWaitsIsNotWarnedOf) {
  for (const auto& [ranks, timeout] : {std::pair(1, "5"), std::pair(0, "1")}) {
    Command command = train(job(kMiniJob), fmt::format("run-{}", ranks), ranks, {"train.steps=1"});
    command.environment["OMPI_MCA_odls_base_sigkill_timeout"] = timeout;
    const Outcome outcome = run(command);
    ASSERT_TRUE(ended_with(outcome, 0));
    EXPECT_THAT(outcome.err, ::testing::Not(HasSubstr("Ctrl-C kills this run")));
  }
}

/// A line of /proc/<process>/status.
std::string status_of(pid_t process, const std::string& key) {
  const std::string all = "\n" + slurp(fmt::format("/proc/{}/status", process));
  const std::size_t begin = all.find("\n" + key + ":\t");
  if (begin == std::string::npos) return "";
  const std::size_t value = begin + key.size() + 3;
  return all.substr(value, all.find('\n', value) - value);
}

bool catches(pid_t process, int signal) {
  const std::string mask = status_of(process, "SigCgt");
  return !mask.empty() && (std::stoull(mask, nullptr, 16) >> (signal - 1) & 1) != 0;
}

TEST_F(Stop, SignalsAreHeardFromBeforeMpiStartsToTheVeryEnd) {
  bool alone_when_it_listened = false;
  for (int start = 0; start < 3; ++start) {
    Program program(endless(fmt::format("run-{}", start), 0), folder_.path());
    const pid_t process = program.launcher();
    while (program.is_running() && !catches(process, SIGTERM)) {
    }
    alone_when_it_listened |= status_of(process, "Threads") == "1";
    while (program.is_running()) {
      ::kill(process, SIGTERM);
      ::kill(process, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    const Outcome outcome = program.wait();
    EXPECT_TRUE(ended_with(outcome, 75));
    EXPECT_EQ(io::find_latest(file(fmt::format("run-{}", start))).step, 1);
  }
  EXPECT_TRUE(alone_when_it_listened) << "MPI's start makes threads";
}

TEST_F(Stop, ASignalAfterTheLastStepChangesNothing) {
  for (int ranks : {0, 2}) {
    Program program(train(job(kMiniJob), fmt::format("run-{}", ranks), ranks), folder_.path());
    ASSERT_TRUE(program.wait_for("\nstep 6/", 60)) << program.err_so_far();
    while (program.is_running()) {
      const pid_t process = ranks > 0 ? program.process_of_rank(1) : program.launcher();
      if (process > 0) ::kill(process, SIGUSR1);
    }
    EXPECT_TRUE(ended_with(program.wait(), 0));
    EXPECT_EQ(io::find_latest(file(fmt::format("run-{}", ranks))).step, 6);
  }
}

TEST_F(Stop, AReaderThatGoesAwayIsAWishToLeave) {
  Command command = endless("run", 0);
  std::string line = "\"$CARAVAN_BINARY\"";
  for (const std::string& argument : command.arguments) line += " '" + argument + "'";
  command.arguments = {"-c", line + " 2>&1 | head -n 3 > /dev/null; exit ${PIPESTATUS[0]}"};
  command.program = "/bin/bash";

  EXPECT_TRUE(ended_with(run(command), 75));

  EXPECT_GT(io::find_latest(file("run")).step, 0);
}

}  // namespace
}  // namespace caravan::test
