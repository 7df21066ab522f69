#include <fmt/format.h>
#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>
#include <random>
#include <thread>

#include "io/checkpoint/catalogue.hpp"
#include "io/checkpoint/layout.hpp"
#include "tests/jobs/batches_file.hpp"
#include "tests/jobs/job_test.hpp"
#include "tests/jobs/random_job.hpp"
#include "tests/jobs/run_results.hpp"

// Two runs, of whole parameters and of stretches, that die in turn while they save, as often as CARAVAN_KILLS
// says.
namespace caravan::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

int kills() {
  const char* wanted = std::getenv("CARAVAN_KILLS");
  return wanted ? std::atoi(wanted) : 6;
}

/// One that dies again and again, and goes on as it was.
struct KilledRun {
  std::string name, layout;
  std::int64_t committed = 0;
  int lives = 0, lives_that_saved = 0;
};

class KillLoop : public JobTest {
 protected:
  void SetUp() override {
    JobTest::SetUp();
    Batches(40, 16, 64).write(file("batches.safetensors"));
    job_ = job(random_job(file("batches.safetensors")));
  }
  Command start(const std::string& run, const std::string& layout, std::int64_t steps,
                std::int64_t save_every, const std::string& files = "shards") const {
    Command command =
        train(job_, run, 2,
              {"parallel." + layout, fmt::format("parallel.expert={}", run.starts_with("experts") ? 2 : 1),
               fmt::format("train.steps={}", steps), fmt::format("checkpoint.every={}", save_every),
               "checkpoint.files=" + files, "validation.batches=0"});
    command.timeout_s = 900;
    return command;
  }
  /// Starts it, and kills all or one of its processes somewhere in a save; of three lives two have saved
  /// something by then, however slow the machine is.
  void live_and_die(KilledRun& run, std::mt19937& random) const {
    const char* files = run.lives % 2 == 0 ? "shards" : "one";
    const char* sign_of_life = run.lives++ % 3 == 2 ? "\nstep " : "of which training waited";
    Program program(start(run.name, run.layout, 1'000'000, 2, files), folder_.path());
    ASSERT_TRUE(program.wait_for(sign_of_life, 60)) << program.err_so_far();
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 400'000));
    const pid_t victim = program.process_of_rank(static_cast<int>(random() % 2));
    if (random() % 2 == 0 || victim <= 0)
      program.kill_all(SIGKILL);
    else
      ::kill(victim, SIGKILL);
    program.wait();
    ASSERT_TRUE(program.all_gone_within(15)) << "ranks outlive the job";
    expect_nothing_lost(run, program.err_so_far());
  }
  void expect_nothing_lost(KilledRun& run, const std::string& err) const {
    EXPECT_THAT(err, Not(HasSubstr("skipped"))) << "no kill leaves half a checkpoint under a step's name";
    EXPECT_THAT(err,
                HasSubstr(run.committed > 0 ? fmt::format("resumed at step {} from ", run.committed) : ""));
    const io::Latest latest = io::find_latest(file(run.name));
    EXPECT_TRUE(latest.skipped.empty()) << latest.skipped.front().why;
    ASSERT_GE(latest.step, run.committed) << "a checkpoint that was there is gone";
    run.lives_that_saved += latest.step > run.committed;
    run.committed = latest.step;
  }
  void expect_numbers_of_the_undisturbed(const KilledRun& killed) const {
    SCOPED_TRACE(killed.layout);
    const std::int64_t last = killed.committed + 4;
    const std::string undisturbed = killed.name + "-undisturbed";
    ASSERT_TRUE(ended_with(run(start(killed.name, killed.layout, last, 2)), 0));
    ASSERT_TRUE(ended_with(run(start(undisturbed, killed.layout, last, 1'000'000)), 0));

    EXPECT_EQ(results_of(file(killed.name)), results_of(file(undisturbed)));
    EXPECT_EQ(digests_of(file(killed.name), last), digests_of(file(undisturbed), last));
    std::cout << fmt::format("{}: {} kills, {} steps, {} lives saved something new\n", killed.layout,
                             killed.lives, last, killed.lives_that_saved);
  }
  std::string job_;
};

TEST_F(KillLoop, LosesNothingThatWasCommittedAndChangesNoNumber) {
  std::mt19937 random(std::random_device{}());
  std::vector<KilledRun> runs{
      {"whole", "data_shard=1"}, {"stretches", "data_shard=2"}, {"experts", "data_shard=2"}};
  for (int kill = 0; kill < kills(); ++kill) {
    SCOPED_TRACE(fmt::format("kill {}", kill));
    live_and_die(runs[static_cast<std::size_t>(kill) % runs.size()], random);
    if (HasFatalFailure()) return;
    if (kill % 20 == 19) std::cout << kill + 1 << " kills" << std::endl;
  }
  for (const KilledRun& each : runs) expect_numbers_of_the_undisturbed(each);
  int saved = 0;
  for (const KilledRun& each : runs) saved += each.lives_that_saved;
  EXPECT_GT(saved, kills() / 2);
}

}  // namespace
}  // namespace caravan::test
